//! Numbers as base62 text of fixed width, canonical only: every text has one number and every number one text.

use zeroize::Zeroizing;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The digits of 32 bytes.
const WIDEST: usize = 43;

/// Writes the big-endian number `bytes` to the end of `text` as exactly `width` digits.
///
/// `width` must be enough for the largest number of that many bytes (6 for 4, 11 for 8, 22 for 16, 43 for 32): digits
/// beyond it would be lost.
pub(crate) fn encode_into<const BYTES: usize>(bytes: &[u8; BYTES], width: usize, text: &mut String) {
    let mut number = Zeroizing::new(*bytes);
    let mut digits = Zeroizing::new([b'0'; WIDEST]);
    digits.iter_mut().take(width).for_each(|digit| *digit = next_digit(number.as_mut_slice()));
    text.extend(digits.iter().take(width).rev().copied().map(char::from));
}

/// Divides the number by 62 in place and gives the remainder as a digit.
fn next_digit(number: &mut [u8]) -> u8 {
    let mut remainder = 0_u32;
    for byte in number.iter_mut() {
        let value = (remainder << 8) | u32::from(*byte);
        *byte = u8::try_from(value / 62).unwrap_or(u8::MAX);
        remainder = value % 62;
    }
    DIGITS.get(remainder as usize).copied().unwrap_or(b'0')
}

/// How many digits are taken at once: as many as fit into 64 bits, whatever they are.
const CHUNK: usize = 10;

/// 62 to the power of [`CHUNK`].
const CHUNK_RADIX: u64 = 62_u64.pow(10);

/// The 64 bits of which the widest number has some.
const LIMBS: usize = 4;

/// What is no digit, in [`VALUES`]; none of its upper bits is in a digit's value.
const NO_DIGIT: u8 = 0xFF;

/// The value of every digit.
const VALUES: [u8; 256] = values();

/// Reads a number back; `None` if a character is not a digit or the number does not fit into `BYTES` bytes, at most 32.
pub(crate) fn decode<const BYTES: usize>(text: &str) -> Option<[u8; BYTES]> {
    let mut all = Zeroizing::new([0; LIMBS]);
    let limbs = all.get_mut(..BYTES.div_ceil(8))?;
    let (first, rest) = text.as_bytes().split_at_checked(text.len() % CHUNK)?;
    let mut too_much = 0;
    for chunk in std::iter::once(first).chain(rest.chunks_exact(CHUNK)) {
        too_much |= shift_in(limbs, chunk_value(chunk)?);
    }
    let mut number = [0; BYTES];
    for (bytes, limb) in number.rchunks_mut(8).zip(limbs) {
        let limb = limb.to_be_bytes();
        let (above, within) = limb.split_at(8 - bytes.len());
        bytes.copy_from_slice(within);
        too_much |= above.iter().fold(0, |more, byte| more | u64::from(*byte));
    }
    (too_much == 0).then_some(number)
}

/// Makes room for a chunk at the small end of a number and puts it there; gives what does not fit at the other.
fn shift_in(limbs: &mut [u64], chunk: u64) -> u64 {
    limbs.iter_mut().fold(chunk, |carry, limb| {
        let (low, high) = limb.carrying_mul(CHUNK_RADIX, carry);
        *limb = low;
        high
    })
}

/// The number that at most [`CHUNK`] digits are, without a branch on any of them.
fn chunk_value(digits: &[u8]) -> Option<u64> {
    let (value, seen) = digits.iter().fold((0_u64, 0), |(value, seen), digit| {
        let digit = VALUES.get(usize::from(*digit)).copied().unwrap_or(NO_DIGIT);
        (value.wrapping_mul(62).wrapping_add(digit.into()), seen | digit)
    });
    (seen & !0x3F == 0).then_some(value)
}

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler, which would refuse what is out of bounds"
)]
const fn values() -> [u8; 256] {
    let mut values = [NO_DIGIT; 256];
    let mut value = 0;
    while value < 62 {
        values[DIGITS[value as usize] as usize] = value;
        value += 1;
    }
    values
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_stated_widths_are_enough_for_the_largest_numbers() {
        fn round<const BYTES: usize>(width: usize) {
            let mut text = String::new();
            encode_into(&[0xFF; BYTES], width, &mut text);
            assert_eq!(decode::<BYTES>(&text), Some([0xFF; BYTES]));
        }
        round::<4>(6);
        round::<8>(11);
        round::<16>(22);
        round::<32>(43);
    }

    #[test]
    fn what_no_number_of_that_many_bytes_has_for_text_is_refused() {
        assert_eq!(decode::<4>("4gfFC3"), Some([0xFF; 4]));
        assert_eq!(decode::<4>("4gfFC4"), None);
        assert_eq!(decode::<8>("LygHa16AHYF"), Some([0xFF; 8]));
        assert_eq!(decode::<8>("LygHa16AHYG"), None);
        assert_eq!(decode::<16>(&"z".repeat(22)), None);
        assert_eq!(decode::<32>(&"z".repeat(43)), None);
        assert_eq!(decode::<32>(&format!("1{}", "0".repeat(60))), None);
        for wrong in ["00000_", "00000/", "00000:", "00000@", "00000[", "00000`", "00000{", "0000\u{e9}"] {
            assert_eq!(decode::<4>(wrong), None, "{wrong}");
        }
        assert_eq!(decode::<4>(""), Some([0; 4]));
    }

    proptest! {
        /// Said again one digit after the other, as the numbers are defined.
        #[test]
        fn a_text_means_the_sum_of_its_digits(text in "[0-9A-Za-z]{0,21}") {
            let by_digits = text.bytes().try_fold(0_u128, |sum, byte| {
                let digit = DIGITS.iter().position(|digit| *digit == byte)?;
                sum.checked_mul(62)?.checked_add(u128::try_from(digit).ok()?)
            });
            prop_assert_eq!(decode::<16>(&text), by_digits.map(u128::to_be_bytes));
        }

        #[test]
        fn a_wide_number_comes_back(bytes: [u8; 32]) {
            let mut text = String::new();
            encode_into(&bytes, 43, &mut text);
            prop_assert_eq!(decode::<32>(&text), Some(bytes));
        }

        #[test]
        fn a_number_comes_back(bytes: [u8; 16]) {
            let mut text = String::new();
            encode_into(&bytes, 22, &mut text);
            prop_assert_eq!(decode::<16>(&text), Some(bytes));
        }

        #[test]
        fn a_text_that_is_taken_is_the_only_one_for_its_number(text in "[0-9A-Za-z]{22}") {
            if let Some(bytes) = decode::<16>(&text) {
                let mut again = String::new();
                encode_into(&bytes, 22, &mut again);
                prop_assert_eq!(again, text);
            }
        }
    }
}
