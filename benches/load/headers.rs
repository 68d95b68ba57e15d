//! The headers of requests, compressed as HPACK has it (RFC 7541), without Huffman's code.

/// The headers of all requests of a connection. What was sent once is in the peer's table, and then named by its place.
pub(crate) struct Headers {
    scheme: u8,
    constant: Vec<Field>,
    paths: Vec<Field>,
    /// How many fields are in the table.
    entered: usize,
}

/// A field, and the how-manieth it was to be entered in the table.
struct Field {
    name: Name,
    value: String,
    entered: Option<usize>,
}

enum Name {
    /// One that every table knows, by its place (RFC 7541, appendix A).
    Known(u8),
    Literal(&'static str),
}

/// Places that every table knows.
const STATIC: usize = 61;
const AUTHORITY: u8 = 1;
const METHOD_POST: u8 = 3;
const PATH: u8 = 4;
const SCHEME_HTTP: u8 = 6;
const SCHEME_HTTPS: u8 = 7;
const AUTHORIZATION: u8 = 23;
const CONTENT_TYPE: u8 = 31;
const USER_AGENT: u8 = 58;

impl Headers {
    pub(crate) fn new(scheme: &'static str, authority: &str, credential: Option<&str>) -> Self {
        let field = |name, value: String| Field { name, value, entered: None };
        let mut constant = vec![
            field(Name::Known(AUTHORITY), authority.to_owned()),
            field(Name::Known(CONTENT_TYPE), "application/grpc".to_owned()),
            field(Name::Known(USER_AGENT), "tokenkeep-load".to_owned()),
            field(Name::Literal("te"), "trailers".to_owned()),
        ];
        let credential = credential.map(|credential| format!("Bearer {credential}"));
        constant.extend(credential.map(|value| field(Name::Known(AUTHORIZATION), value)));
        let scheme = if scheme == "https" { SCHEME_HTTPS } else { SCHEME_HTTP };
        Self { scheme, constant, paths: Vec::new(), entered: 0 }
    }

    pub(crate) fn encode(&mut self, path: &'static str, block: &mut Vec<u8>) {
        block.extend_from_slice(&[0x80 | METHOD_POST, 0x80 | self.scheme]);
        let known = self.paths.iter().position(|field| field.value == path);
        let place = known.unwrap_or(self.paths.len());
        if known.is_none() {
            self.paths.push(Field { name: Name::Known(PATH), value: path.to_owned(), entered: None });
        }
        for field in self.paths.iter_mut().skip(place).take(1).chain(&mut self.constant) {
            field.encode(&mut self.entered, block);
        }
    }
}

impl Field {
    fn encode(&mut self, entered: &mut usize, block: &mut Vec<u8>) {
        if let Some(number) = self.entered {
            return integer(0x80, 7, STATIC + *entered - number + 1, block);
        }
        match self.name {
            Name::Known(place) => integer(0x40, 6, place.into(), block),
            Name::Literal(name) => {
                block.push(0x40);
                text(name, block);
            }
        }
        text(&self.value, block);
        *entered += 1;
        self.entered = Some(*entered);
    }
}

fn text(text: &str, block: &mut Vec<u8>) {
    integer(0, 7, text.len(), block);
    block.extend_from_slice(text.as_bytes());
}

/// A number behind the first bits of a byte (RFC 7541, 5.1).
#[expect(clippy::cast_possible_truncation, reason = "what is cut off is written in the next byte")]
fn integer(first: u8, bits: u32, number: usize, block: &mut Vec<u8>) {
    let most = (1_usize << bits) - 1;
    if number < most {
        return block.push(first | number as u8);
    }
    block.push(first | most as u8);
    let mut rest = number - most;
    while rest >= 128 {
        block.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    block.push(rest as u8);
}
