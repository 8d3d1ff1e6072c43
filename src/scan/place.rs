//! Where a file lies that the log names: below the table's root, or elsewhere.
//!
//! The log names data files by URI references, and storage knows names below its
//! root. What lies elsewhere on the local file system, as the files of a shallow
//! clone do, is told apart here; whether it may be read is the caller's to say.
//! What is no local file at all is refused: a log must not choose the host that
//! a reader talks to.

use std::fmt;

use crate::actions::decode_path;
use crate::error::{Error, Result, escaped};

/// Where a file lies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// Below the table's root: its name, relative to the root, as storage wants it.
    Inside(String),
    /// Elsewhere on the local file system: its absolute path.
    Outside(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Inside(name) | Place::Outside(name) => f.write_str(&escaped(name)),
        }
    }
}

/// The place of `path`, which is as the log has it ("Add File and Remove File":
/// a relative path, or an absolute one, as a URI), of a table at `root`.
///
/// An absolute path that leads below the root is inside, however it is spelled;
/// whole components are compared, so a sibling with a longer name is outside.
///
/// # Errors
/// `CorruptLog` for a path that is empty, climbs or names no file, `Unsupported`
/// for a URI of another scheme than `file:` or of another host. No message shows
/// more of such a URI than [`shown`] does.
pub(super) fn place_of(root: &str, path: &str) -> Result<Place> {
    let scheme = scheme_of(path);
    if let Some(scheme) = scheme.filter(|scheme| !scheme.eq_ignore_ascii_case("file")) {
        return Err(Error::unsupported(format!(
            "{}: the log names a file by the scheme {scheme}:, expected a path or a file: URI",
            shown(path)
        )));
    }
    let hierarchical = scheme.map_or(path, |scheme| &path[scheme.len() + 1..]);
    // An empty authority is none. One that names a host, `localhost` too, is another
    // place: Hadoop does not read it as local.
    if hierarchical.starts_with("//") && (scheme.is_none() || !hierarchical.starts_with("///")) {
        let shown = shown(path);
        return Err(Error::unsupported(format!("{shown}: the log names a file of another host")));
    }
    if scheme.is_some() && !hierarchical.starts_with('/') {
        return Err(Error::corrupt(format!("{}: a file: URI without a path", shown(path))));
    }
    let mut scratch = Vec::new();
    let decoded = decode_path(path.as_bytes(), &mut scratch)?;
    let decoded = std::str::from_utf8(decoded).map_err(|_| {
        Error::corrupt(format!("{}: the path is not UTF-8 once it is decoded", shown(path)))
    })?;
    if !decoded.starts_with('/') {
        return Ok(Place::Inside(decoded.to_owned()));
    }
    let mut below = components(decoded);
    // Only a root that is a path has an inside that a path can lead to.
    let is_inside =
        root.starts_with('/') && components(root).all(|part| below.next() == Some(part));
    let place = if is_inside {
        Place::Inside(below.collect::<Vec<_>>().join("/"))
    } else {
        Place::Outside(components(decoded).fold(String::new(), |path, part| path + "/" + part))
    };
    match place {
        Place::Inside(name) | Place::Outside(name) if name.is_empty() => {
            Err(Error::corrupt(format!("{}: expected a file, found the root", shown(path))))
        }
        place => Ok(place),
    }
}

/// The error for a file outside the table's root that may not be read.
pub(super) fn outside_root(path: &str) -> Error {
    Error::unsupported(format!(
        "{}: the file lies outside the table's root, where nothing is read unless the scan is \
         told to with reads_outside_root",
        escaped(path)
    ))
}

/// A path of the log for a message: of a URI its scheme and its file's name, which
/// tell it from others, and nothing that could hold a credential.
pub(super) fn shown(path: &str) -> String {
    let (scheme, rest) = match scheme_of(path) {
        Some(scheme) => (scheme, &path[scheme.len() + 1..]),
        None => ("", path),
    };
    if !rest.starts_with("//") && (scheme.is_empty() || scheme.eq_ignore_ascii_case("file")) {
        return escaped(path);
    }
    let path_only = rest.split(['?', '#']).next().unwrap_or_default();
    let name = match path_only.rsplit_once('/') {
        Some((before, name)) if !before.ends_with('/') && !name.contains(['@', ':']) => name,
        _ => "",
    };
    let colon = if scheme.is_empty() { "" } else { ":" };
    format!("{scheme}{colon}//…/{}", escaped(name))
}

/// The scheme of a URI reference (RFC 3986, 3.1). It is looked for before
/// decoding, because `file%3A/x` is a file of the table.
fn scheme_of(path: &str) -> Option<&str> {
    let (scheme, _) = path.split_once(':')?;
    let mut bytes = scheme.bytes();
    let is_scheme = bytes.next().is_some_and(|b| b.is_ascii_alphabetic())
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    is_scheme.then_some(scheme)
}

fn components(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|part| !matches!(*part, "" | "."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn place(path: &str) -> Place {
        place_of("/data/tenant-a", path).unwrap()
    }

    fn inside(name: &str) -> Place {
        Place::Inside(name.to_owned())
    }

    fn outside(path: &str) -> Place {
        Place::Outside(path.to_owned())
    }

    #[test]
    fn a_relative_path_is_inside_and_is_decoded_exactly_once() {
        for (path, name) in [
            ("part-0.parquet", "part-0.parquet"),
            ("p=a%20b/x", "p=a b/x"),
            ("p=a%2520b/x", "p=a%20b/x"),
            ("p=%C3%BC/x", "p=ü/x"),
            ("p=10:20/x", "p=10:20/x"),
            ("a%3Ab", "a:b"),
            ("p=%23%3F+%25/x", "p=#?+%/x"),
            ("file%3A/x", "file:/x"),
            ("a..b/..c", "a..b/..c"),
        ] {
            assert_eq!(place(path), inside(name), "{path}");
        }
    }

    #[test]
    fn an_absolute_path_below_the_root_is_inside_however_it_is_spelled() {
        for path in [
            "/data/tenant-a/p=1/x y",
            "file:/data/tenant-a/p=1/x%20y",
            "file:///data/tenant-a/p=1/x%20y",
            "FILE:///data//tenant-a/./p=1/x%20y",
            "%2Fdata/tenant%2Da/p=1/x y",
        ] {
            assert_eq!(place(path), inside("p=1/x y"), "{path}");
        }
        assert_eq!(place_of("/", "file:///x/y").unwrap(), inside("x/y"));
        assert_eq!(place_of("/data/tenant-a/", "/data/tenant-a/x").unwrap(), inside("x"));
    }

    #[test]
    fn a_sibling_whose_name_begins_like_the_root_is_outside() {
        for path in ["/data/tenant-a-evil/x", "file:///data/tenant-a-evil/x"] {
            assert_eq!(place(path), outside("/data/tenant-a-evil/x"));
        }
        assert_eq!(place("/data/x"), outside("/data/x"));
        assert_eq!(place("file:////etc/./passwd"), outside("/etc/passwd"));
        // A root that is no path has no path below it.
        assert_eq!(place_of("data", "/data/x").unwrap(), outside("/data/x"));
    }

    #[test]
    fn a_path_that_climbs_or_names_no_file_is_refused() {
        for path in [
            "../x",
            "a/../../x",
            "%2e%2e/x",
            "..%2fx",
            ".\\..\\x",
            "/data/tenant-a/../x",
            "file:///data/tenant-a/%2e%2e/x",
            "",
            "a%00b",
            "/",
            "file:",
            "file:x",
            "file:///",
            "/data/tenant-a",
            "a%ffb",
        ] {
            let error = place_of("/data/tenant-a", path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::CorruptLog, "{path}: {error}");
        }
    }

    #[test]
    fn another_scheme_or_host_is_refused_and_no_credential_is_shown() {
        for path in [
            "s3://key:secret@bucket/t/part-0.parquet",
            "s3://key:sec/ret/secret@bucket",
            "s3://secret",
            "s3:secret",
            "http://169.254.169.254/latest?token=secret/part",
            "abfss://c:se?secret/x@host/part-0.parquet",
            "C:\\x",
            "file://secret/part-0.parquet",
            "file://localhost/x",
            "file://",
            "//secret/x",
            "s3://key:secret@bucket/../x",
        ] {
            let error = place_of("/data/tenant-a", path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{path}: {error}");
            assert!(!error.message().contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_uri_is_shown_by_its_scheme_and_its_files_name() {
        for (path, text) in [
            ("s3://key:pw@bucket/t/part-0.parquet?sig=pw", "s3://…/part-0.parquet"),
            ("s3://key:pw/x@bucket", "s3://…/"),
            ("s3://bucket", "s3://…/"),
            ("//u:pw@host/t/x", "//…/x"),
            ("p=1/x\n.parquet", "p=1/x\\n.parquet"),
            ("file:/x/y", "file:/x/y"),
        ] {
            assert_eq!(shown(path), text);
        }
    }

    #[test]
    fn the_error_for_a_file_outside_the_root_names_the_option() {
        assert!(outside_root("/etc/passwd").message().contains("reads_outside_root"));
    }
}
