//! A cursor over one line of JSON: no value tree, no recursion.
//!
//! The caller knows the shape of what it wants and walks to it; what it does
//! not want is skipped, still checked to be JSON. Strings are searched 32 bytes
//! at a time. The text is UTF-8 already (checked once for a whole unit), so
//! that a slice between two quotes needs no second check.

use wide::u8x32;

use crate::unescape::{MARGIN, copy_unescaped, escaped};

/// What is not JSON, or not what was expected, and where in the text.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) at: usize,
    pub(crate) what: String,
}

// Boxed: the good path should not carry the bad path's size.
pub(crate) type Scan<T> = Result<T, Box<Fault>>;

const LANES: usize = 32;

/// The room for a string that is being copied: enough for nearly all.
const ROOM: usize = 2048;

/// A place in a text of JSON.
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    pos: usize,
}

/// Bytes of strings, one after the other, with room kept behind them: a block
/// is copied whole, and what it wrote too much is overwritten by the next.
#[derive(Default)]
pub(crate) struct Text {
    /// Initialised up to its length; `used` of it is text.
    bytes: Vec<u8>,
    used: usize,
}

impl Text {
    /// Empty, to be filled within `memory`; what that holds is overwritten.
    pub(crate) fn within(memory: Vec<u8>) -> Self {
        Text { bytes: memory, used: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.used
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.used]
    }

    /// The memory, and how much of it is text.
    pub(crate) fn into_parts(self) -> (Vec<u8>, usize) {
        (self.bytes, self.used)
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.make_room(bytes.len());
        self.bytes[self.used..self.used + bytes.len()].copy_from_slice(bytes);
        self.used += bytes.len();
    }

    #[inline]
    fn make_room(&mut self, room: usize) {
        if self.bytes.len() - self.used < room {
            self.grow(room);
        }
    }

    #[cold]
    fn grow(&mut self, room: usize) {
        self.bytes.resize((self.used + room).max(self.bytes.len() * 2), 0);
    }
}

/// The raw text between two quotes: its escapes are checked, not resolved.
#[derive(Clone, Copy)]
pub(crate) struct RawStr<'a> {
    bytes: &'a [u8],
    has_escapes: bool,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Cursor { bytes: text.as_bytes(), pos: 0 }
    }

    pub(crate) fn pos(&self) -> usize {
        self.pos
    }

    /// Moves to `pos`, which an earlier [`pos`](Self::pos) gave.
    pub(crate) fn seek(&mut self, pos: usize) {
        self.pos = pos;
    }

    #[cold]
    pub(crate) fn fault(&self, what: impl Into<String>) -> Box<Fault> {
        Box::new(Fault { at: self.pos.min(self.bytes.len()), what: what.into() })
    }

    #[cold]
    fn expected(&self, what: &str) -> Box<Fault> {
        match self.bytes.get(self.pos) {
            None | Some(b'\n') => self.fault(format!("expected {what}, found the end of the line")),
            Some(&b) => self.fault(format!("expected {what}, found '{}'", b.escape_ascii())),
        }
    }

    /// The next byte that is no white space; a line's end is no white space.
    pub(crate) fn peek(&mut self) -> Option<u8> {
        loop {
            match self.bytes.get(self.pos) {
                Some(b' ' | b'\t' | b'\r') => self.pos += 1,
                next => return next.copied(),
            }
        }
    }

    fn expect(&mut self, byte: u8, what: &str) -> Scan<()> {
        if self.peek() == Some(byte) {
            self.pos += 1;
            Ok(())
        } else {
            Err(self.expected(what))
        }
    }

    /// Steps over the `{` that begins an object.
    pub(crate) fn begin_object(&mut self) -> Scan<()> {
        self.expect(b'{', "an object")
    }

    /// The next key of an object, or `None` after its `}`. `first` begins as
    /// true and is the caller's to keep.
    pub(crate) fn next_key(&mut self, first: &mut bool) -> Scan<Option<RawStr<'a>>> {
        match self.peek() {
            Some(b'}') => {
                self.pos += 1;
                return Ok(None);
            }
            Some(b',') if !*first => self.pos += 1,
            Some(b'"') if *first => {}
            _ => return Err(self.expected(if *first { "a key or '}'" } else { "',' or '}'" })),
        }
        *first = false;
        let key = self.string()?;
        self.expect(b':', "':'")?;
        Ok(Some(key))
    }

    /// Steps over the `[` that begins a list.
    pub(crate) fn begin_list(&mut self) -> Scan<()> {
        self.expect(b'[', "a list")
    }

    /// Whether an item of a list is next: false after its `]`. `first` begins as
    /// true and is the caller's to keep.
    pub(crate) fn next_item(&mut self, first: &mut bool) -> Scan<bool> {
        match self.peek() {
            Some(b']') => {
                self.pos += 1;
                return Ok(false);
            }
            Some(b',') if !*first => self.pos += 1,
            _ if *first => {}
            _ => return Err(self.expected("',' or ']'")),
        }
        *first = false;
        Ok(true)
    }

    /// Steps over `null` if it is next, and says whether it was.
    pub(crate) fn null(&mut self) -> Scan<bool> {
        if self.peek() != Some(b'n') {
            return Ok(false);
        }
        self.literal("null")?;
        Ok(true)
    }

    pub(crate) fn bool(&mut self) -> Scan<bool> {
        match self.peek() {
            Some(b't') => self.literal("true").map(|()| true),
            Some(b'f') => self.literal("false").map(|()| false),
            _ => Err(self.expected("true or false")),
        }
    }

    /// A whole number that fits 64 bits; a fraction or an exponent is a fault.
    pub(crate) fn i64(&mut self) -> Scan<i64> {
        // Digits alone, no more than always fit, and not part of something else.
        let rest = self.bytes.get(self.pos..).unwrap_or_default();
        let mut value = 0;
        let mut digits = 0;
        while let Some(digit) = rest.get(digits).map(|byte| byte.wrapping_sub(b'0'))
            && digit < 10
            && digits < 18
        {
            value = value * 10 + i64::from(digit);
            digits += 1;
        }
        if digits > 0
            && (rest[0] != b'0' || digits == 1)
            && matches!(rest.get(digits), Some(b',' | b'}'))
        {
            self.pos += digits;
            return Ok(value);
        }
        let text = match self.peek() {
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ => return Err(self.expected("a whole number")),
        };
        std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or_else(|| {
            self.fault(format!("expected a whole number of 64 bits, found {}", text.escape_ascii()))
        })
    }

    /// A string.
    pub(crate) fn string(&mut self) -> Scan<RawStr<'a>> {
        if self.peek() != Some(b'"') {
            return Err(self.expected("a string"));
        }
        let begin = self.pos + 1;
        let (end, has_escapes) = self.string_end(begin, begin)?;
        self.pos = end + 1;
        Ok(RawStr { bytes: &self.bytes[begin..end], has_escapes })
    }

    /// Appends the string that is next to `out`, its escapes resolved: one pass
    /// finds its end and copies it.
    pub(crate) fn string_into(&mut self, out: &mut Text) -> Scan<()> {
        if self.peek() != Some(b'"') {
            return Err(self.expected("a string"));
        }
        let begin = self.pos + 1;
        let mut at = begin;
        while self.bytes.len() - at >= MARGIN {
            out.make_room(ROOM);
            let (read, written) = copy_unescaped(&self.bytes[at..], &mut out.bytes[out.used..]);
            at += read;
            out.used += written;
            match self.bytes.get(at) {
                Some(b'"') => {
                    self.pos = at + 1;
                    return Ok(());
                }
                Some(b'\\') => {
                    self.check_escape(at + 1)?;
                    out.make_room(ROOM);
                    let unescaped =
                        unescape_one(self.bytes, &mut at, &mut out.bytes, &mut out.used);
                    unescaped.map_err(|LoneSurrogate| self.fault(SURROGATE))?;
                }
                Some(0..=0x1f) => return Err(self.bad_end(begin, at)),
                // The room was too small, or the text is at its end.
                _ => {}
            }
        }
        // The end of the text is near: find the string's end, then resolve.
        let (end, _) = self.string_end(begin, at)?;
        self.pos = end + 1;
        let rest = RawStr { bytes: &self.bytes[at..end], has_escapes: true };
        rest.append_to(out).map_err(|LoneSurrogate| self.fault(SURROGATE))
    }

    /// Steps over `token` if it is next, to the byte: a key with its quotes and
    /// colon, as the line before had it.
    #[inline]
    pub(crate) fn eat(&mut self, token: &[u8]) -> bool {
        let is_next = self.bytes.get(self.pos..).is_some_and(|rest| rest.starts_with(token));
        if is_next {
            self.pos += token.len();
        }
        is_next
    }

    /// The text from `begin` to here.
    pub(crate) fn since(&self, begin: usize) -> &'a [u8] {
        &self.bytes[begin..self.pos]
    }

    /// The raw text of a number, `true` or `false`.
    pub(crate) fn scalar(&mut self) -> Scan<&'a [u8]> {
        match self.peek() {
            Some(b't' | b'f') => {
                let begin = self.pos;
                self.bool()?;
                Ok(&self.bytes[begin..self.pos])
            }
            _ => self.number(),
        }
    }

    /// Steps over any value and checks that it is JSON. The nesting is bounded
    /// by the text's length alone: one bit a level is remembered, on the heap.
    pub(crate) fn skip_value(&mut self) -> Scan<()> {
        // The depth, and for each level whether it is an object.
        let mut depth = 0usize;
        let mut objects: Vec<u64> = Vec::new();
        loop {
            // A value begins here.
            match self.peek() {
                Some(open @ (b'{' | b'[')) => {
                    self.pos += 1;
                    let (word, bit) = (depth / 64, 1u64 << (depth % 64));
                    if word == objects.len() {
                        objects.push(0);
                    }
                    if open == b'{' {
                        objects[word] |= bit;
                    } else {
                        objects[word] &= !bit;
                    }
                    depth += 1;
                    let close = if open == b'{' { b'}' } else { b']' };
                    if self.peek() != Some(close) {
                        if open == b'{' {
                            self.key()?;
                        }
                        continue;
                    }
                    self.pos += 1;
                    depth -= 1;
                }
                Some(b'"') => {
                    self.string()?;
                }
                Some(b'n') => self.literal("null")?,
                Some(b't') => self.literal("true")?,
                Some(b'f') => self.literal("false")?,
                _ => {
                    self.number()?;
                }
            }
            // A value has ended: close what ends with it, and go on to the next.
            loop {
                let Some(level) = depth.checked_sub(1) else { return Ok(()) };
                let in_object = objects[level / 64] & (1 << (level % 64)) != 0;
                match self.peek() {
                    Some(b',') => {
                        self.pos += 1;
                        if in_object {
                            self.key()?;
                        }
                        break;
                    }
                    Some(b'}') if in_object => {}
                    Some(b']') if !in_object => {}
                    _ if in_object => return Err(self.expected("',' or '}'")),
                    _ => return Err(self.expected("',' or ']'")),
                }
                self.pos += 1;
                depth = level;
            }
        }
    }

    /// Checks that the line ends here, and steps over its end.
    pub(crate) fn end_of_line(&mut self) -> Scan<()> {
        match self.peek() {
            None => Ok(()),
            Some(b'\n') => {
                self.pos += 1;
                Ok(())
            }
            Some(_) => Err(self.expected("the end of the line")),
        }
    }

    fn key(&mut self) -> Scan<()> {
        self.string()?;
        self.expect(b':', "':'")
    }

    fn literal(&mut self, word: &str) -> Scan<()> {
        let end = self.pos + word.len();
        if self.bytes.get(self.pos..end) == Some(word.as_bytes()) {
            self.pos = end;
            Ok(())
        } else {
            Err(self.expected(word))
        }
    }

    /// A number by JSON's grammar: no leading zero, no bare point.
    fn number(&mut self) -> Scan<&'a [u8]> {
        let begin = self.pos;
        let digits = |at: usize| {
            self.bytes.get(at..).map_or(0, |rest| {
                rest.iter().position(|b| !b.is_ascii_digit()).unwrap_or(rest.len())
            })
        };
        let byte = |at: usize| self.bytes.get(at).copied();

        let mut end = begin + usize::from(byte(begin) == Some(b'-'));
        let whole = digits(end);
        if whole == 0 || whole > 1 && byte(end) == Some(b'0') {
            return Err(self.expected("a value"));
        }
        end += whole;
        if byte(end) == Some(b'.') {
            let fraction = digits(end + 1);
            if fraction == 0 {
                return Err(self.fault("a number ends in a point"));
            }
            end += 1 + fraction;
        }
        if matches!(byte(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(byte(end + 1), Some(b'+' | b'-')));
            let exponent = digits(end + 1 + sign);
            if exponent == 0 {
                return Err(self.fault("a number ends in its exponent's sign"));
            }
            end += 1 + sign + exponent;
        }
        self.pos = end;
        Ok(&self.bytes[begin..end])
    }

    /// Where the string that begins at `begin` ends, searched from `from`: the
    /// place of its closing quote, and whether there are escapes on the way.
    ///
    /// In each block of 32 bytes, three comparisons mark quotes, backslashes
    /// and control characters; arithmetic on the masks finds which of them a
    /// backslash escapes, without a loop over the escapes.
    fn string_end(&self, begin: usize, from: usize) -> Scan<(usize, bool)> {
        let mut at = from;
        let mut has_escapes = false;
        // Whether the first byte of the next block is escaped.
        let mut carry = false;
        loop {
            let block = self.block(at);
            let quotes = mask(block, b'"');
            let backslashes = mask(block, b'\\');
            let controls = block.simd_eq(block.min(u8x32::splat(0x1f))).to_bitmask();

            let escaped =
                if backslashes == 0 && !carry { 0 } else { escaped(backslashes, &mut carry) };
            let stops = quotes & !escaped | controls;
            let upto = stops.trailing_zeros();
            let before_stop = (1u64 << upto).wrapping_sub(1) as u32;
            // What stands after the stop is another value's.
            has_escapes |= backslashes & before_stop != 0;
            let inside = escaped & before_stop;
            let mut rare = inside & !(quotes | backslashes);
            while rare != 0 {
                self.check_escape(at + rare.trailing_zeros() as usize)?;
                rare &= rare - 1;
            }
            if stops != 0 {
                let stop = at + upto as usize;
                return match self.bytes.get(stop) {
                    Some(b'"') => Ok((stop, has_escapes)),
                    _ => Err(self.bad_end(begin, stop)),
                };
            }
            at += LANES;
        }
    }

    /// Why the string that begins at `begin` stops at `stop`, where no quote is.
    #[cold]
    fn bad_end(&self, begin: usize, stop: usize) -> Box<Fault> {
        let (at, what) = match self.bytes.get(stop) {
            None | Some(b'\n') => (begin, "a string does not end"),
            Some(_) => (stop, "a control character stands bare in a string"),
        };
        Box::new(Fault { at, what: what.into() })
    }

    /// The block that begins at `at`; past the text's end it holds NULs, which
    /// stop a string as a control character does.
    fn block(&self, at: usize) -> u8x32 {
        if let Some(block) = self.bytes.get(at..at + LANES) {
            return u8x32::new(block.try_into().unwrap_or([0; LANES]));
        }
        let mut padded = [0; LANES];
        let rest = self.bytes.get(at..).unwrap_or_default();
        padded[..rest.len()].copy_from_slice(rest);
        u8x32::new(padded)
    }

    /// Checks the escape whose letter stands at `at`.
    fn check_escape(&self, at: usize) -> Scan<()> {
        let good = match self.bytes.get(at) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => true,
            Some(b'u') => self
                .bytes
                .get(at + 1..at + 5)
                .is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)),
            _ => false,
        };
        if good {
            Ok(())
        } else {
            Err(Box::new(Fault {
                at,
                what: "a string has an escape that JSON does not know".into(),
            }))
        }
    }
}

fn mask(block: u8x32, byte: u8) -> u32 {
    block.simd_eq(u8x32::splat(byte)).to_bitmask()
}

impl<'a> RawStr<'a> {
    /// Whether the string is `text`.
    pub(crate) fn is(self, text: &str) -> bool {
        match self.has_escapes {
            true => self.resolve(&mut Text::default()).is_ok_and(|bytes| bytes == text.as_bytes()),
            false => self.bytes == text.as_bytes(),
        }
    }

    /// The bytes, where no escape has to be resolved.
    pub(crate) fn plain(self) -> Option<&'a [u8]> {
        (!self.has_escapes).then_some(self.bytes)
    }

    /// The bytes, with escapes resolved into `scratch` where there are any.
    pub(crate) fn resolve<'s>(self, scratch: &'s mut Text) -> Result<&'s [u8], LoneSurrogate>
    where
        'a: 's,
    {
        if !self.has_escapes {
            return Ok(self.bytes);
        }
        scratch.used = 0;
        self.append_to(scratch)?;
        Ok(scratch.as_slice())
    }

    /// Appends the string's bytes to `out`, escapes resolved. What is appended
    /// is UTF-8, as the text was.
    pub(crate) fn append_to(self, out: &mut Text) -> Result<(), LoneSurrogate> {
        if !self.has_escapes {
            out.push(self.bytes);
            return Ok(());
        }
        // No escape is shorter than what it stands for.
        out.make_room(self.bytes.len());
        let mut from = 0;
        while let Some(&byte) = self.bytes.get(from) {
            if byte == b'\\' {
                unescape_one(self.bytes, &mut from, &mut out.bytes, &mut out.used)?;
            } else {
                out.bytes[out.used] = byte;
                from += 1;
                out.used += 1;
            }
        }
        Ok(())
    }
}

/// What a fault says of a [`LoneSurrogate`].
pub(crate) const SURROGATE: &str = "a string holds half of a surrogate pair, which is no text";

/// Half of a UTF-16 pair: no text that UTF-8 can hold.
#[derive(Debug)]
pub(crate) struct LoneSurrogate;

/// Resolves the escape at `from`, whose form has been checked.
#[inline]
fn unescape_one(
    source: &[u8],
    from: &mut usize,
    out: &mut [u8],
    to: &mut usize,
) -> Result<(), LoneSurrogate> {
    let letter = source.get(*from + 1).copied().unwrap_or(b'\\');
    let byte = match letter {
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'u' => return unescape_unicode(source, from, out, to),
        other => other,
    };
    out[*to] = byte;
    *from += 2;
    *to += 1;
    Ok(())
}

#[cold]
fn unescape_unicode(
    source: &[u8],
    from: &mut usize,
    out: &mut [u8],
    to: &mut usize,
) -> Result<(), LoneSurrogate> {
    let unit = |at: usize| -> Option<u32> {
        let hex = source.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u32::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()
    };
    let first = unit(*from).ok_or(LoneSurrogate)?;
    *from += 6;
    let code = if (0xd800..0xdc00).contains(&first) {
        let second = unit(*from).filter(|u| (0xdc00..0xe000).contains(u)).ok_or(LoneSurrogate)?;
        *from += 6;
        0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
    } else {
        first
    };
    // Six bytes of escape give at most three of UTF-8, and twelve give four.
    let c = char::from_u32(code).ok_or(LoneSurrogate)?;
    *to += c.encode_utf8(&mut out[*to..]).len();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skip(text: &str) -> Result<(), String> {
        let mut cursor = Cursor::new(text);
        cursor.skip_value().and_then(|()| cursor.end_of_line()).map_err(|f| f.what)
    }

    fn string(text: &str) -> Result<String, String> {
        let mut cursor = Cursor::new(text);
        let raw = cursor.string().map_err(|f| f.what)?;
        cursor.end_of_line().map_err(|f| f.what)?;
        let resolved = raw.resolve(&mut Text::default()).map(<[u8]>::to_vec);
        let resolved = resolved.map_err(|_| SURROGATE.to_owned());

        // The pass that copies while it searches says the same, near the end of
        // a text and far from it.
        for after in ["", "\n", &format!("\n{}", "x".repeat(100))] {
            let text = format!("{text}{after}");
            let mut cursor = Cursor::new(&text);
            let mut out = Text::default();
            out.push(b"before");
            let copied = cursor.string_into(&mut out).map_err(|f| f.what);
            assert_eq!(copied.is_ok(), resolved.is_ok(), "{text}");
            if let Ok(resolved) = &resolved {
                assert_eq!(out.as_slice(), [b"before", &resolved[..]].concat(), "{text}");
                assert!(matches!(cursor.peek(), None | Some(b'\n')), "{text}");
            }
        }
        resolved.map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn skipping_accepts_what_serde_json_accepts_and_nothing_else() {
        for text in [
            "{}",
            "[]",
            "null",
            "true",
            "-0",
            "1.5e-3",
            "0",
            "10",
            "\"\"",
            "[[],{}]",
            r#"{"a":[1,{"b":null}],"c":"\u00e9\"\\"}"#,
            " [ 1 , 2 ] ",
            r#"{"a":1,"a":2}"#,
            "{\"a\" : \"b\"\t}",
            r#""\/\b""#,
        ] {
            assert!(serde_json::from_str::<serde_json::Value>(text).is_ok(), "{text}");
            assert_eq!(skip(text), Ok(()), "{text}");
        }
        for text in [
            "",
            "{",
            "}",
            "[1,]",
            "{,}",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            "nul",
            "truex",
            "01",
            "1.",
            ".5",
            "1e",
            "+1",
            "-",
            "[1 2]",
            r#"{"a":1 "b":2}"#,
            "\"abc",
            r#""\x""#,
            r#""\u12g4""#,
            "\"\u{1}\"",
            "[}",
            "{]",
            r#"{1:2}"#,
            "[1]]",
            "x",
            r#""\"#,
            r#"{"a":1}x"#,
        ] {
            assert!(serde_json::from_str::<serde_json::Value>(text).is_err(), "{text}");
            assert!(skip(text).is_err(), "{text}");
        }
    }

    #[test]
    fn deep_nesting_is_skipped_without_recursion() {
        let deep = 300_000;
        assert_eq!(skip(&("[".repeat(deep) + &"]".repeat(deep))), Ok(()));
        assert_eq!(skip(&(r#"{"a":"#.repeat(deep) + "1" + &"}".repeat(deep))), Ok(()));
        assert!(skip(&"[".repeat(deep)).is_err());
        assert!(skip(&("[".repeat(deep) + &"}".repeat(deep))).is_err());
    }

    #[test]
    fn escapes_resolve_as_serde_json_does_wherever_they_fall_in_a_block() {
        let pieces =
            [r#"\""#, r"\\", r"\n", r"\u00e9", r"\ud83d\ude00", r"\/", "x", "é", r"\t\b\f\r"];
        for pad in 0..70 {
            for first in pieces {
                for second in pieces {
                    let text = format!("\"{}{first}{second}{}\"", "a".repeat(pad), "b".repeat(40));
                    let expected: String = serde_json::from_str(&text).unwrap();
                    assert_eq!(string(&text).as_deref(), Ok(expected.as_str()), "{text}");
                }
            }
        }
    }

    #[test]
    fn a_string_without_escapes_is_plain_whatever_comes_after_it() {
        for pad in 0..40 {
            let text = format!(r#""key"{}:""""#, " ".repeat(pad));
            let key = Cursor::new(&text).string().unwrap();
            assert_eq!(key.plain(), Some(&b"key"[..]));
        }
    }

    #[test]
    fn runs_of_backslashes_end_a_string_only_when_even() {
        for run in 0..80 {
            for pad in 0..34 {
                let text = format!("\"{}{}\"", "a".repeat(pad), "\\".repeat(run));
                let expected = serde_json::from_str::<String>(&text).ok();
                assert_eq!(string(&text).ok(), expected, "{text}");
            }
        }
    }

    #[test]
    fn a_string_that_does_not_end_is_a_fault_near_the_text_s_end_and_far_from_it() {
        for text in ["\"abc", "\"abc\n", "\"a\u{1}b\"", "\"a\\xb\""] {
            for after in ["", &"y".repeat(200)] {
                let text = format!("{text}{}{after}", if after.is_empty() { "" } else { "\n" });
                let raw = Cursor::new(&text).string().map(|_| ()).map_err(|f| (f.at, f.what));
                let mut out = Text::default();
                let copied = Cursor::new(&text).string_into(&mut out).map_err(|f| (f.at, f.what));
                assert_eq!(raw, copied, "{text}");
                assert!(raw.is_err(), "{text}");
            }
        }
    }

    #[test]
    fn half_a_surrogate_pair_is_no_text() {
        for text in [r#""\ud800""#, r#""\udc00""#, r#""\ud800\u0041""#] {
            assert_eq!(string(text), Err(SURROGATE.into()), "{text}");
        }
    }

    #[test]
    fn a_whole_number_is_whole_and_fits() {
        let number = |text: &str| Cursor::new(text).i64().map_err(|f| f.what);
        assert_eq!(number(" 42,"), Ok(42));
        assert_eq!(number("-9223372036854775808"), Ok(i64::MIN));
        for text in ["9223372036854775808", "12.5", "1e3", "\"1\"", "", "-"] {
            assert!(number(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_fault_says_where() {
        let text = format!("{{\"a\":\"{}\", \"b\": x}}", "y".repeat(100));
        let fault = Cursor::new(&text).skip_value().unwrap_err();
        assert_eq!(fault.at, text.find('x').unwrap());
    }
}
