//! The values of a file, taken one by one; all that is wrong is noted with its place, and no value is ever repeated.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::nearest::nearest;
use crate::profile::Problem;

/// What was found to be wrong, each with so many bytes of the file before it.
#[derive(Default)]
pub(super) struct Notes(RefCell<Vec<(usize, String)>>);

impl Notes {
    pub(super) fn note(&self, offset: usize, told: String) -> Noted {
        self.0.borrow_mut().push((offset, told));
        Noted(())
    }

    /// The notes from top to bottom.
    pub(super) fn into_problems(self, document: &str) -> Vec<Problem> {
        let mut notes = self.0.into_inner();
        notes.sort_by_key(|(offset, _)| *offset);
        notes.into_iter().map(|(offset, told)| Problem::at(offset, document, told)).collect()
    }
}

/// Stands for what could not be taken: the reason has been noted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Noted(());

pub(super) type Taken<Word> = Result<Word, Noted>;

/// Takes all that can be taken before it says whether all could.
pub(super) fn all<Word>(taken: impl IntoIterator<Item = Taken<Word>>) -> Taken<Vec<Word>> {
    let taken: Vec<_> = taken.into_iter().collect();
    taken.into_iter().collect()
}

/// A value, and where it stands.
#[derive(Clone)]
pub(super) struct Value<'file> {
    notes: &'file Notes,
    path: String,
    content: &'file Spanned<DeValue<'file>>,
}

impl<'file> Value<'file> {
    /// Notes what is wrong, reading on after the path of the field: "`name` must be …".
    pub(super) fn note(&self, told: impl AsRef<str>) -> Noted {
        self.notes.note(self.content.span().start, format!("`{}` {}", self.path, told.as_ref()))
    }

    fn is_not(&self, wanted: &str) -> Noted {
        let kind = match self.content.get_ref() {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.note(format!("must be {wanted}, not {kind}"))
    }

    pub(super) fn text(&self) -> Taken<&'file str> {
        self.as_text().ok_or_else(|| self.is_not("a text in quotes"))
    }

    pub(super) fn boolean(&self) -> Taken<bool> {
        let DeValue::Boolean(truth) = self.content.get_ref() else {
            return Err(self.is_not("true or false, without quotes"));
        };
        Ok(*truth)
    }

    pub(super) fn number<Number: TryFrom<i64>>(&self, range: RangeInclusive<i64>) -> Taken<Number> {
        let wanted = format!("a whole number from {} to {}", range.start(), range.end());
        let DeValue::Integer(number) = self.content.get_ref() else { return Err(self.is_not(&wanted)) };
        let number = i64::from_str_radix(number.as_str(), number.radix()).ok();
        let number = number.filter(|number| range.contains(number)).map(Number::try_from);
        number.and_then(Result::ok).ok_or_else(|| self.note(format!("must be {wanted}")))
    }

    /// Takes a text that a type's own rule judges.
    pub(super) fn parsed<Word, Broken: ToString>(
        &self,
        parse: impl FnOnce(String) -> Result<Word, Broken>,
    ) -> Taken<Word> {
        parse(self.text()?.to_owned()).map_err(|broken| self.note(broken.to_string()))
    }

    /// Takes one of a few words.
    pub(super) fn word<Word: Copy>(&self, words: &[(&str, Word)]) -> Taken<Word> {
        let met = self.text()?;
        if let Some((_, word)) = words.iter().find(|(word, _)| *word == met) {
            return Ok(*word);
        }
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        Err(self.note(format!("must be one of {}{}", known.join(", "), meant(met, &known))))
    }

    /// The entries of a list of at most so many.
    pub(super) fn entries(&self, limit: usize) -> Taken<Vec<Self>> {
        let entries = self.as_list().ok_or_else(|| self.is_not("a list"))?;
        if entries.len() > limit {
            return Err(self.note(format!("must have at most {limit} entries")));
        }
        Ok(entries)
    }

    pub(super) fn as_list(&self) -> Option<Vec<Self>> {
        let DeValue::Array(list) = self.content.get_ref() else { return None };
        let entry = |(position, content)| Self { notes: self.notes, path: self.at(position), content };
        Some(list.iter().enumerate().map(entry).collect())
    }

    fn at(&self, position: usize) -> String {
        format!("{}[{position}]", self.path)
    }

    pub(super) fn as_text(&self) -> Option<&'file str> {
        let DeValue::String(text) = self.content.get_ref() else { return None };
        Some(text)
    }

    pub(super) fn as_table(&self) -> Option<Section<'file>> {
        let DeValue::Table(table) = self.content.get_ref() else { return None };
        let (notes, path, offset) = (self.notes, format!("{}.", self.path), self.content.span().start);
        Some(Section { notes, path, offset, table })
    }

    /// The table that this is, which may have these fields and no others.
    pub(super) fn section(&self, fields: &[&str]) -> Taken<Section<'file>> {
        let section = self.table()?;
        section.refuse_unknown(fields);
        Ok(section)
    }

    /// The table that this is, whatever its fields.
    pub(super) fn table(&self) -> Taken<Section<'file>> {
        self.as_table().ok_or_else(|| self.is_not("a table"))
    }
}

/// The end of a sentence that names the word which was probably meant.
pub(super) fn meant(met: &str, known: &[&str]) -> String {
    nearest(met, known).map_or_else(String::new, |nearest| format!("; did you mean `{nearest}`?"))
}

/// A table under way.
pub(super) struct Section<'file> {
    notes: &'file Notes,
    /// What stands before the names of its fields.
    path: String,
    offset: usize,
    table: &'file DeTable<'file>,
}

impl<'file> Section<'file> {
    /// The whole of a file.
    pub(super) fn root(notes: &'file Notes, table: &'file DeTable<'file>, fields: &[&str]) -> Self {
        let root = Self { notes, path: String::new(), offset: 0, table };
        root.refuse_unknown(fields);
        root
    }

    fn refuse_unknown(&self, fields: &[&str]) {
        for name in self.table.keys().filter(|name| !fields.contains(&name.get_ref().as_ref())) {
            let meant = meant(name.get_ref(), fields);
            let remedy =
                if meant.is_empty() { format!("; the fields here are {}", fields.join(", ")) } else { meant };
            let told = format!("`{}{}` is no field{remedy}", self.path, name.get_ref());
            self.notes.note(name.span().start, told);
        }
    }

    /// A field, if it is there.
    pub(super) fn optional(&self, field: &str) -> Option<Value<'file>> {
        let (name, value) = self.table.get_key_value(field)?;
        Some(self.value(name.get_ref(), value))
    }

    fn value(&self, name: &str, content: &'file Spanned<DeValue<'file>>) -> Value<'file> {
        Value { notes: self.notes, path: format!("{}{name}", self.path), content }
    }

    /// A field that must be there, with what it could look like.
    pub(super) fn required(&self, field: &str, example: &str) -> Taken<Value<'file>> {
        self.optional(field).ok_or_else(|| {
            let told = format!("`{}{field}` is missing: add it, like `{example}`", self.path);
            self.notes.note(self.offset, told)
        })
    }

    /// Notes what is wrong with the table as a whole, reading on after its path.
    pub(super) fn note(&self, told: &str) -> Noted {
        self.notes.note(self.offset, format!("`{}` {told}", self.path.trim_end_matches('.')))
    }

    /// All fields, by name.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&'file str, Value<'file>)> {
        self.table.iter().map(|(name, value)| (name.get_ref().as_ref(), self.value(name.get_ref(), value)))
    }
}

/// Notes what was met before, so that nothing stands in a list twice.
pub(super) fn once<Word: Ord>(met: &mut BTreeSet<Word>, value: &Value<'_>, word: Word) -> Taken<()> {
    if met.insert(word) { Ok(()) } else { Err(value.note("is there already: leave one of them out")) }
}
