//! JSON: values are read where they stand, as parts of the text. What is not JSON has no fields and no elements.

use alloc::string::String;

fn space(s: &[u8], mut i: usize) -> usize {
    while i < s.len() && s[i].is_ascii_whitespace() {
        i += 1;
    }
    i
}

/// Where the value that begins at i ends.
fn end(s: &[u8], mut i: usize) -> Option<usize> {
    let mut depth = 0;
    loop {
        i = space(s, i);
        match *s.get(i)? {
            b'"' => {
                i += 1;
                while *s.get(i)? != b'"' {
                    i += if s[i] == b'\\' { 2 } else { 1 };
                }
                i += 1;
            }
            b'{' | b'[' => {
                depth += 1;
                i += 1;
            }
            c @ (b'}' | b']' | b',' | b':') => {
                if depth == 0 {
                    return None;
                }
                if c == b'}' || c == b']' {
                    depth -= 1;
                }
                i += 1;
            }
            _ => {
                while i < s.len() && !matches!(s[i], b',' | b':' | b'}' | b']' | b'"') && !s[i].is_ascii_whitespace() {
                    i += 1;
                }
            }
        }
        if depth == 0 {
            return Some(i);
        }
    }
}

/// The value of a field of an object, as JSON. The name must be written without escapes.
pub fn field<'a>(object: &'a str, name: &str) -> Option<&'a str> {
    let s = object.as_bytes();
    let mut i = space(s, 0);
    if *s.get(i)? != b'{' {
        return None;
    }
    loop {
        let key = space(s, i + 1);
        let after = end(s, key)?;
        if s[key] != b'"' {
            return None;
        }
        i = space(s, after);
        if *s.get(i)? != b':' {
            return None;
        }
        let value = space(s, i + 1);
        i = end(s, value)?;
        if &s[key + 1..after - 1] == name.as_bytes() {
            return object.get(value..i);
        }
        i = space(s, i);
        if *s.get(i)? != b',' {
            return None;
        }
    }
}

/// The elements of an array, as JSON.
pub fn items(array: &str) -> Items<'_> {
    let i = space(array.as_bytes(), 0);
    Items { rest: if array.as_bytes().get(i) == Some(&b'[') { &array[i..] } else { "" } }
}

/// The elements of an array.
pub struct Items<'a> {
    rest: &'a str, // From the sign before the next element on.
}

impl<'a> Iterator for Items<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let (rest, s) = (self.rest, self.rest.as_bytes());
        self.rest = "";
        let sign = space(s, 0);
        if !matches!(s.get(sign)?, b'[' | b',') {
            return None;
        }
        let from = space(s, sign + 1);
        let to = end(s, from)?;
        self.rest = rest.get(to..)?;
        rest.get(from..to)
    }
}

/// What a JSON string says.
pub fn text(value: &str) -> Option<String> {
    let inner = value.strip_prefix('"')?.strip_suffix('"')?;
    let mut plain = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = rest.find('\\') {
        plain.push_str(&rest[..at]);
        let escape = rest[at + 1..].chars().next()?;
        rest = &rest[at + 1 + escape.len_utf8()..];
        plain.push(match escape {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let mut code = hex(rest)?;
                rest = &rest[4..];
                if let (0xd800..=0xdbff, Some(low)) = (code, rest.strip_prefix("\\u").and_then(hex)) {
                    if (0xdc00..0xe000).contains(&low) {
                        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                        rest = &rest[6..];
                    }
                }
                char::from_u32(code).unwrap_or('\u{fffd}')
            }
            other => other,
        });
    }
    plain.push_str(rest);
    Some(plain)
}

fn hex(s: &str) -> Option<u32> {
    u32::from_str_radix(s.get(..4)?, 16).ok()
}

/// A text as a JSON string, with its quotation marks.
pub fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(c);
            }
            ' '.. => quoted.push(c),
            _ => {
                quoted.push_str("\\u00");
                for digit in [c as u32 >> 4, c as u32 & 15] {
                    quoted.push(char::from_digit(digit, 16).unwrap_or('0'));
                }
            }
        }
    }
    quoted.push('"');
    quoted
}
