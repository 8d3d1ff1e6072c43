//! What can go wrong, sorted by who can act on it.
//!
//! An [`Error`] is cheap to clone, because a failed stream answers the same
//! failure for ever. Its message starts in lower case, names the file (and the
//! line or row), and says what was expected and what was found. Text that comes
//! from a table goes through [`escaped`] first, so that no message can move a
//! terminal's cursor or forge a log line.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// The result of everything fallible here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Who can act on an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The table's log breaks the protocol: its writer must be looked at.
    CorruptLog,
    /// Bytes could not be had: permissions, a vanished file, a failing disk.
    Storage,
    /// The table needs a feature that this library does not read.
    Unsupported,
    /// No such table, version, column or key.
    NotFound,
    /// The caller gave a value that makes no sense.
    InvalidArgument,
    /// The caller broke a rule of use: two threads in one stream, a call after fork.
    Misuse,
    /// The caller cancelled.
    Cancelled,
    /// The deadline passed; the same call may be made again.
    Timeout,
    /// A limit that protects the host was reached.
    LimitExceeded,
    /// A defect of this library: please report it.
    Bug,
}

impl ErrorKind {
    /// The kind's name in messages, lower case.
    pub fn name(self) -> &'static str {
        match self {
            ErrorKind::CorruptLog => "corrupt log",
            ErrorKind::Storage => "storage",
            ErrorKind::Unsupported => "unsupported",
            ErrorKind::NotFound => "not found",
            ErrorKind::InvalidArgument => "invalid argument",
            ErrorKind::Misuse => "misuse",
            ErrorKind::Cancelled => "cancelled",
            ErrorKind::Timeout => "timeout",
            ErrorKind::LimitExceeded => "limit exceeded",
            ErrorKind::Bug => "bug",
        }
    }
}

/// An error: a kind, and a message for a person.
#[derive(Clone)]
pub struct Error {
    kind: ErrorKind,
    message: Arc<str>,
}

impl Error {
    /// An error of `kind` that says `message`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error { kind, message: Arc::from(message.into()) }
    }

    /// Who can act.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What happened, without the kind's name.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The same error, with `context` (a file, a line) in front of its message.
    pub(crate) fn at(&self, context: impl fmt::Display) -> Self {
        Error::new(self.kind, format!("{context}: {}", self.message))
    }

    /// The same error of a file that was there a moment ago: where it is not
    /// found it has vanished, and the next try may find another log.
    pub(crate) fn of_listed_file(self) -> Self {
        match self.kind {
            ErrorKind::NotFound => Error::storage(&*self.message),
            _ => self,
        }
    }
}

macro_rules! constructors {
    ($($name:ident => $kind:ident),* $(,)?) => {
        impl Error {
            $(pub(crate) fn $name(message: impl Into<String>) -> Self {
                Error::new(ErrorKind::$kind, message)
            })*
        }
    };
}

constructors! {
    corrupt => CorruptLog,
    storage => Storage,
    unsupported => Unsupported,
    not_found => NotFound,
    invalid => InvalidArgument,
    misuse => Misuse,
    cancelled => Cancelled,
    timeout => Timeout,
    limit => LimitExceeded,
    bug => Bug,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.name(), self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {}

/// `text` with control characters written as escapes and its length bounded:
/// what a table says must not steer a terminal or forge a line of a log.
pub(crate) fn escaped(text: &str) -> String {
    const CHARS_MAX: usize = 512;
    let mut out = String::with_capacity(text.len().min(CHARS_MAX));
    for (i, c) in text.chars().enumerate() {
        if i == CHARS_MAX {
            out.push('…');
            break;
        }
        // Bidirectional overrides reorder what is shown, as control characters do.
        if c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// What a panic said.
pub(crate) fn text_of_panic(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    escaped(text.unwrap_or("no message"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_of_a_path_are_escaped_in_messages() {
        assert_eq!(escaped("a\x1b[31m\nb\u{202e}"), "a\\u{1b}[31m\\nb\\u{202e}");
        assert_eq!(escaped("plain ü"), "plain ü");
    }

    #[test]
    fn a_long_text_is_cut() {
        assert!(escaped(&"x".repeat(100_000)).chars().count() <= 513);
    }
}
