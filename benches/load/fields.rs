//! Reads the fields of an encoded message one by one.

/// The value of a field, as far as it matters here.
pub(crate) enum Field<'message> {
    Number(u64),
    Bytes(&'message [u8]),
}

/// The numbers and values of the fields, in order; `None`, once and last, where it is no message.
pub(crate) fn fields(message: &[u8]) -> impl Iterator<Item = Option<(u64, Field<'_>)>> {
    let mut rest = Some(message);
    std::iter::from_fn(move || {
        let bytes = rest.filter(|bytes| !bytes.is_empty())?;
        let read = field(bytes);
        rest = read.as_ref().map(|(_, after)| *after);
        Some(read.map(|(field, _)| field))
    })
}

type Read<'message> = ((u64, Field<'message>), &'message [u8]);

fn field(bytes: &[u8]) -> Option<Read<'_>> {
    let (key, bytes) = number(bytes)?;
    match key & 7 {
        0 => number(bytes).map(|(value, rest)| ((key >> 3, Field::Number(value)), rest)),
        2 => {
            let (length, bytes) = number(bytes)?;
            let (value, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
            Some(((key >> 3, Field::Bytes(value)), rest))
        }
        _ => None,
    }
}

fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (place, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(place + 1..)?));
        }
    }
    None
}
