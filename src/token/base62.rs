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

/// Reads a number back; `None` if a character is not a digit or the number does not fit into `BYTES` bytes.
pub(crate) fn decode<const BYTES: usize>(text: &str) -> Option<[u8; BYTES]> {
    let mut number = [0_u8; BYTES];
    for character in text.bytes() {
        let mut carry = u32::from(digit_value(character)?);
        for byte in number.iter_mut().rev() {
            let value = u32::from(*byte) * 62 + carry;
            *byte = value.to_le_bytes()[0];
            carry = value >> 8;
        }
        if carry != 0 {
            return None;
        }
    }
    Some(number)
}

const fn digit_value(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'A'..=b'Z' => Some(character - b'A' + 10),
        b'a'..=b'z' => Some(character - b'a' + 36),
        _ => None,
    }
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

    proptest! {
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
