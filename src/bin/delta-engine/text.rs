//! Text for a terminal: what a table says must not steer it, and a date must
//! be one.

use std::borrow::Cow;
use std::io::Write;

const MICROS_A_SECOND: i64 = 1_000_000;
const SECONDS_A_DAY: i64 = 86_400;

/// `text` with its control characters written as escapes. Bidirectional
/// overrides reorder what is shown, as control characters do.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    let steers =
        |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if steers(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Cuts `text` to `chars_max` characters, the last of which tells so.
pub(crate) fn cut(text: &mut String, chars_max: usize) {
    if text.chars().count() > chars_max {
        let end = text.char_indices().nth(chars_max - 1).map_or(text.len(), |(at, _)| at);
        text.truncate(end);
        text.push('…');
    }
}

/// Appends a day, counted from the Unix epoch, as `YYYY-MM-DD`.
pub(crate) fn push_date(out: &mut Vec<u8>, days: i64) {
    // Days to civil date by Howard Hinnant's method: years begin in March, so
    // that the leap day is a year's last.
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let _ = match year {
        0..=9999 => write!(out, "{year:04}-{month:02}-{day:02}"),
        // ISO 8601 gives a year outside four digits a sign.
        _ => write!(out, "{year:+05}-{month:02}-{day:02}"),
    };
}

/// Appends microseconds since the Unix epoch as `YYYY-MM-DDThh:mm:ss.ffffff`.
pub(crate) fn push_micros(out: &mut Vec<u8>, micros: i64) {
    push_seconds(out, micros.div_euclid(MICROS_A_SECOND));
    let _ = write!(out, ".{:06}", micros.rem_euclid(MICROS_A_SECOND));
}

/// Appends milliseconds since the Unix epoch as `YYYY-MM-DDThh:mm:ss.fff`.
pub(crate) fn push_millis(out: &mut Vec<u8>, millis: i64) {
    push_seconds(out, millis.div_euclid(1_000));
    let _ = write!(out, ".{:03}", millis.rem_euclid(1_000));
}

fn push_seconds(out: &mut Vec<u8>, seconds: i64) {
    push_date(out, seconds.div_euclid(SECONDS_A_DAY));
    let second_of_day = seconds.rem_euclid(SECONDS_A_DAY);
    let (hour, minute, second) =
        (second_of_day / 3_600, second_of_day / 60 % 60, second_of_day % 60);
    let _ = write!(out, "T{hour:02}:{minute:02}:{second:02}");
}

/// A point in time as ISO 8601 in UTC, from milliseconds since the Unix epoch.
pub(crate) fn utc_from_millis(millis: i64) -> String {
    let mut out = Vec::new();
    push_millis(&mut out, millis);
    out.push(b'Z');
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(days: i64) -> String {
        let mut out = Vec::new();
        push_date(&mut out, days);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn days_since_the_epoch_are_civil_dates() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(-1), "1969-12-31");
        assert_eq!(date(11_016), "2000-02-29");
        assert_eq!(date(19_782), "2024-02-29");
        assert_eq!(date(-25_509), "1900-02-28");
        assert_eq!(date(-25_508), "1900-03-01");
        assert_eq!(date(-719_162), "0001-01-01");
        assert_eq!(date(2_932_896), "9999-12-31");
        assert_eq!(date(2_932_897), "+10000-01-01");
        assert_eq!(date(-719_529), "-0001-12-31");
    }

    #[test]
    fn no_date32_or_timestamp_is_out_of_range() {
        for days in [i32::MIN, i32::MAX] {
            date(days.into());
        }
        for at in [i64::MIN, i64::MAX] {
            push_micros(&mut Vec::new(), at);
            utc_from_millis(at);
        }
    }

    #[test]
    fn a_time_before_the_epoch_counts_forward_within_its_second() {
        assert_eq!(utc_from_millis(-1), "1969-12-31T23:59:59.999Z");
        let mut out = Vec::new();
        push_micros(&mut out, 1_717_200_000_000_001);
        assert_eq!(out, b"2024-06-01T00:00:00.000001");
    }

    #[test]
    fn control_characters_are_shown_and_not_obeyed() {
        assert_eq!(printable("a\x1b[31m\nb\u{202e}"), "a\\u{1b}[31m\\nb\\u{202e}");
        assert!(matches!(printable("plain ü \\n"), Cow::Borrowed("plain ü \\n")));
    }

    #[test]
    fn a_long_value_is_cut_between_characters() {
        let mut text = "äöüß".to_owned();
        cut(&mut text, 4);
        assert_eq!(text, "äöüß");
        cut(&mut text, 3);
        assert_eq!(text, "äö…");
    }
}
