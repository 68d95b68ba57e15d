//! What was probably meant by a word that is none of those there are.

/// The nearest of these words to one that was met, if it is near: at most a quarter of its characters differ.
pub fn nearest<Word: AsRef<str>>(met: &str, words: impl IntoIterator<Item = Word>) -> Option<Word> {
    let distance = |word: &Word| strsim::damerau_levenshtein(met, word.as_ref());
    words.into_iter().min_by_key(distance).filter(|word| distance(word) <= met.len().div_ceil(4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_word_that_is_near_is_meant() {
        assert_eq!(nearest("listn", ["listen", "lease"]), Some("listen"));
        assert_eq!(nearest("colour", ["listen", "lease"]), None);
    }
}
