//! File `n` of a table: its numbers, and the texts that the log has of it.

use super::{CHECKPOINT_MS, DAY_MS, Kind, MINUTE_MS, Table};

/// The first of the year of dates that a table is partitioned by, in days since
/// 2023-01-01: 2023-06-01.
pub(super) const FIRST_DAY: u64 = 151;
/// 2023-01-01, in days since the epoch.
pub(super) const DAY_ZERO: u64 = 19_358;

/// The columns that have statistics, with their types.
pub(super) const COLUMNS: [(&str, &str); 10] = [
    ("event_id", "long"),
    ("user_id", "long"),
    ("bytes_sent", "long"),
    ("country", "string"),
    ("session_id", "string"),
    ("page_url", "string"),
    ("event_date", "date"),
    ("event_time", "timestamp"),
    ("ingested_at", "timestamp"),
    ("amount", "double"),
];

const COUNTRIES: [&str; 8] = ["AT", "BR", "DE", "IN", "JP", "KE", "PT", "US"];
const REGIONS: [&str; 4] = ["ap-northeast", "eu-central", "sa-east", "us-west"];
const PLATFORMS: [&str; 4] = ["android", "ios", "web", "television"];

/// The partition columns of a kind, with their types.
pub(super) fn partition_columns(kind: Kind) -> &'static [(&'static str, &'static str)] {
    match kind {
        Kind::WidePartitions => &[
            ("date", "date"),
            ("hour", "integer"),
            ("region", "string"),
            ("home_country", "string"),
            ("tenant", "string"),
            ("platform", "string"),
            ("app_version", "string"),
            ("bucket", "long"),
        ],
        _ => &[("date", "date")],
    }
}

/// The least or the greatest value of each of [`COLUMNS`].
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    pub(super) longs: [u64; 3],
    pub(super) country: &'static str,
    pub(super) session: u64,
    pub(super) page: u64,
    /// Since 2023-01-01.
    pub(super) day: u64,
    /// Since the epoch.
    pub(super) times_ms: [u64; 2],
    pub(super) amount_cents: u64,
}

/// One data file.
pub(super) struct DataFile {
    kind: Kind,
    number: u64,
    uuid: (u64, u64),
    /// Since 2023-01-01.
    day: u64,
    spice: u64,
    pub(super) records: u64,
    pub(super) size: u64,
    pub(super) modified_ms: u64,
    pub(super) min: Bounds,
    pub(super) max: Bounds,
    pub(super) nulls: [u64; 10],
    pub(super) vector: Option<Vector>,
}

/// A deletion vector in a file of its own.
pub(super) struct Vector {
    id: (u64, u64),
    pub(super) offset: i32,
    pub(super) size: i32,
    pub(super) cardinality: u64,
}

impl DataFile {
    pub(super) fn new(table: &Table, number: u64, updated: bool) -> DataFile {
        let kind = table.shape.kind;
        let mut random = Random::of(table.seed, number);
        let uuid = (random.next(), random.next());
        let day = FIRST_DAY + table.day_of(number);
        let midnight_ms = (DAY_ZERO + day) * DAY_MS;
        let records = random.below(50_000) + 1;
        let begin_ms = midnight_ms + random.below(12 * 60) * MINUTE_MS + random.below(MINUTE_MS);
        let end_ms = begin_ms + random.below(11 * 60 * MINUTE_MS);
        let min = Bounds {
            longs: [number * 50_000, random.below(1_000), random.below(512)],
            country: COUNTRIES[random.below(4) as usize],
            session: random.next() >> 8,
            page: random.below(100),
            day,
            times_ms: [begin_ms, begin_ms + random.below(MINUTE_MS)],
            amount_cents: random.below(100) + 1,
        };
        let max = Bounds {
            longs: [
                min.longs[0] + records - 1,
                min.longs[1] + random.below(1_000_000),
                min.longs[2] + random.below(1 << 20),
            ],
            country: COUNTRIES[4 + random.below(4) as usize],
            session: min.session | 0xff << 56,
            page: min.page + random.below(90_000),
            day,
            times_ms: [end_ms, end_ms + random.below(MINUTE_MS)],
            amount_cents: min.amount_cents + random.below(90_000),
        };
        let mut nulls = [0; 10];
        for nulls in nulls.iter_mut().skip(3).step_by(3) {
            *nulls = random.below(records);
        }
        let size = records * 37 + random.below(4_096);
        let spice = random.next();
        let is_first = number < table.files && !number.is_multiple_of(4);
        let vector = (kind == Kind::DeletionVectors && (updated || is_first)).then(|| {
            if updated {
                random.next();
            }
            Vector {
                id: (random.next(), random.next()),
                offset: 1,
                size: random.below(4_000) as i32 + 34,
                cardinality: random.below(records) + 1,
            }
        });
        DataFile {
            kind,
            number,
            uuid,
            day,
            spice,
            records,
            size,
            modified_ms: CHECKPOINT_MS - DAY_MS + number % 86_400 * 1_000,
            min,
            max,
            nulls,
            vector,
        }
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// Nothing in a path needs an escape in JSON, here or below.
    pub(super) fn push_path(&self, out: &mut Vec<u8>) {
        if self.kind == Kind::LongPaths {
            for (i, part) in LONG_PATH.into_iter().enumerate() {
                out.extend_from_slice(part);
                push_number(out, self.spice >> (i * 8) & 0xff);
                out.push(b'/');
            }
        }
        for (i, (name, _)) in partition_columns(self.kind).iter().enumerate() {
            out.extend_from_slice(name.as_bytes());
            out.push(b'=');
            self.push_partition_value(i, out);
            out.push(b'/');
        }
        out.extend_from_slice(b"part-");
        push_padded(out, self.number % 200, 5);
        out.push(b'-');
        push_uuid(out, self.uuid);
        out.extend_from_slice(b".c000.snappy.parquet");
    }

    /// The value of the `i`th of [`partition_columns`].
    pub(super) fn push_partition_value(&self, i: usize, out: &mut Vec<u8>) {
        let spice = self.spice >> (i * 8);
        match i {
            0 => push_date(out, self.day),
            1 => push_number(out, spice % 24),
            2 => out.extend_from_slice(REGIONS[spice as usize % 4].as_bytes()),
            3 => out.extend_from_slice(COUNTRIES[spice as usize % 8].as_bytes()),
            4 => {
                out.extend_from_slice(b"tenant-");
                push_padded(out, self.spice % 5_000, 6);
            }
            5 => out.extend_from_slice(PLATFORMS[spice as usize % 4].as_bytes()),
            6 => {
                out.extend_from_slice(b"7.");
                push_number(out, spice % 40);
                out.extend_from_slice(b".0");
            }
            _ => push_number(out, spice % 64),
        }
    }

    /// The four tags that Databricks gives a file, each with its value.
    pub(super) fn tags(&self) -> [(&'static str, u64); 4] {
        let inserted = self.modified_ms * 1_000 + self.spice % 1_000;
        [
            ("INSERTION_TIME", inserted),
            ("MIN_INSERTION_TIME", inserted),
            ("MAX_INSERTION_TIME", inserted),
            ("OPTIMIZE_TARGET_SIZE", 268_435_456),
        ]
    }

    /// The statistics as JSON.
    pub(super) fn push_stats(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"numRecords\":");
        push_number(out, self.records);
        if self.vector.is_some() {
            out.extend_from_slice(b",\"tightBounds\":false");
        }
        for (name, bounds) in [("minValues", &self.min), ("maxValues", &self.max)] {
            out.extend_from_slice(b",\"");
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":{");
            for (i, (column, _)) in COLUMNS.iter().enumerate() {
                push_key(out, i, column);
                bounds.push_json(i, out);
            }
            out.push(b'}');
        }
        out.extend_from_slice(b",\"nullCount\":{");
        for (i, (column, _)) in COLUMNS.iter().enumerate() {
            push_key(out, i, column);
            push_number(out, self.nulls[i]);
        }
        out.extend_from_slice(b"}}");
    }
}

impl Bounds {
    /// The value of the `i`th of [`COLUMNS`].
    fn push_json(&self, i: usize, out: &mut Vec<u8>) {
        match i {
            0..3 => return push_number(out, self.longs[i]),
            9 => {
                // As short as the double prints: 1.0, 1.5, 1.25.
                push_number(out, self.amount_cents / 100);
                out.push(b'.');
                return match self.amount_cents % 100 {
                    tens if tens % 10 == 0 => push_number(out, tens / 10),
                    cents => push_padded(out, cents, 2),
                };
            }
            _ => {}
        }
        out.push(b'"');
        match i {
            3..6 => self.push_string(i, out),
            6 => push_date(out, self.day),
            _ => {
                let ms = self.times_ms[i - 7];
                push_date(out, ms / DAY_MS - DAY_ZERO);
                let ms = ms % DAY_MS;
                for (mark, value, width) in [
                    (b'T', ms / 3_600_000, 2),
                    (b':', ms / MINUTE_MS % 60, 2),
                    (b':', ms / 1_000 % 60, 2),
                    (b'.', ms % 1_000, 3),
                ] {
                    out.push(mark);
                    push_padded(out, value, width);
                }
                out.push(b'Z');
            }
        }
        out.push(b'"');
    }

    /// The value of the `i`th of [`COLUMNS`], which is of strings.
    pub(super) fn push_string(&self, i: usize, out: &mut Vec<u8>) {
        match i {
            3 => out.extend_from_slice(self.country.as_bytes()),
            4 => push_hex(out, self.session, 16),
            _ => {
                out.extend_from_slice(b"https://example.com/p/");
                push_padded(out, self.page, 5);
            }
        }
    }
}

impl Vector {
    /// `pathOrInlineDv` of storage type `u`: a UUID in Base85, as the protocol's
    /// "Derived Fields" has it.
    pub(super) fn push_id(&self, out: &mut Vec<u8>) {
        push_base85(self.id, out);
    }
}

/// The 16 bytes of a UUID in the Base85 of ZeroMQ.
pub(super) fn push_base85(id: (u64, u64), out: &mut Vec<u8>) {
    const DIGITS: &[u8; 85] =
        b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";
    for half in [id.0, id.1] {
        for word in [half >> 32, half & 0xffff_ffff] {
            for place in [85 * 85 * 85 * 85, 85 * 85 * 85, 85 * 85, 85, 1] {
                out.push(DIGITS[(word / place % 85) as usize]);
            }
        }
    }
}

/// SplitMix64: a seed's own sequence, with no dependency to agree with.
pub(super) struct Random(u64);

impl Random {
    /// The sequence of thing `n`. Seed and number are mixed, because those of
    /// neighbours would else run into one another.
    pub(super) fn of(seed: u64, n: u64) -> Self {
        Random(Random(Random(seed).next() ^ n).next())
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// A random UUID.
    pub(super) fn uuid(&mut self) -> String {
        let mut out = Vec::new();
        push_uuid(&mut out, (self.next(), self.next()));
        String::from_utf8_lossy(&out).into_owned()
    }
}

/// Of version 4 and variant 1.
fn push_uuid(out: &mut Vec<u8>, (high, low): (u64, u64)) {
    push_hex(out, high >> 32, 8);
    out.push(b'-');
    push_hex(out, high >> 16, 4);
    out.extend_from_slice(b"-4");
    push_hex(out, high, 3);
    out.push(b'-');
    push_hex(out, 0x8000 | (low >> 48 & 0x3fff), 4);
    out.push(b'-');
    push_hex(out, low, 12);
}

/// The last `digits` hexadecimal digits of `n`.
fn push_hex(out: &mut Vec<u8>, n: u64, digits: u32) {
    for digit in (0..digits).rev() {
        out.push(b"0123456789abcdef"[(n >> (digit * 4) & 15) as usize]);
    }
}

pub(super) fn push_number(out: &mut Vec<u8>, n: u64) {
    push_padded(out, n, 1);
}

/// `n` in decimal, with zeros before it up to `width` digits.
fn push_padded(out: &mut Vec<u8>, mut n: u64, width: usize) {
    let mut digits = [b'0'; 20];
    let mut first = digits.len();
    while n > 0 {
        first -= 1;
        digits[first] += (n % 10) as u8;
        n /= 10;
    }
    out.extend_from_slice(&digits[first.min(digits.len() - width)..]);
}

/// The key of the `i`th member of a JSON object, after its comma.
pub(super) fn push_key(out: &mut Vec<u8>, i: usize, key: &str) {
    out.extend_from_slice(if i == 0 { b"\"" } else { b",\"" });
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
}

/// The date `days` after 2023-01-01, in that year or the next.
fn push_date(out: &mut Vec<u8>, days: u64) {
    let (year, mut day) = if days < 365 { (2023, days) } else { (2024, days - 365) };
    let february = if year == 2024 { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    push_padded(out, year, 4);
    out.push(b'-');
    push_padded(out, month, 2);
    out.push(b'-');
    push_padded(out, day + 1, 2);
}

/// Folders of a path, each before a number. A space is `%20` in a log's path,
/// and so is what a URI has no room for.
const LONG_PATH: [&[u8]; 6] = [
    b"exports%20of%20the%20warehouse/source_system=point-of-sale-terminals-",
    b"business%20unit=grocery%20and%20household/cost_center=",
    b"customer_segment=returning%20customers%20with%20loyalty%20card/cohort=",
    b"processing_stage=deduplicated-and-validated/pipeline_run=",
    b"store_format=hypermarket%2Bfuel%20station/store=",
    b"retention_class=keep-for-ten-years/legal%20hold=",
];
