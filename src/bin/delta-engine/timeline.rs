//! A run as a picture: an SVG with one lane a thread, and time to the right.
//!
//! It must say in one look whether the run was parallel. So every span is a bar
//! of its kind's colour, a lane without a bar is a thread without work, and
//! below the lanes stands how many of them were at work at once. The background
//! is the picture's own, so that it reads the same on a light and on a dark
//! page.

use std::fmt::{self, Display, Write as _};
use std::io::{self, Write};
use std::time::Duration;

use delta_engine::SpanKind;

use crate::recording::{Doing, Lane, Run, word};
use crate::text::{cut, printable};

const WIDTH: f64 = 1200.0;
/// Where time begins and ends, between the lanes' names and their shares.
const LEFT: f64 = 96.0;
const RIGHT: f64 = 1096.0;
const TOP: f64 = 104.0;
const CHART_HEIGHT: f64 = 44.0;
/// What fits beside the command in the title, and in the line below it.
const TITLE_CHARS_MAX: usize = 90;
const LINE_CHARS_MAX: usize = 150;

const KINDS: &[(SpanKind, &str)] = &[
    (SpanKind::List, "#b7791f"),
    (SpanKind::Open, "#e0b04c"),
    (SpanKind::Decode, "#3f78b5"),
    (SpanKind::Probe, "#b04a7a"),
    (SpanKind::Wait, "#c9ccd1"),
];

/// Writes `run` as one SVG document.
pub(crate) fn write(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    let scale = Scale { wall: run.wall.max(Duration::from_nanos(1)) };
    let lane_height = (520.0 / run.lanes.len() as f64).clamp(6.0, 30.0);
    let gap = (lane_height / 5.0).min(6.0);
    let lanes_end = TOP + run.lanes.len() as f64 * (lane_height + gap) - gap;
    let chart_top = lanes_end + 16.0;
    let chart_end = chart_top + CHART_HEIGHT;
    let height = chart_end + 40.0;

    write_head(run, height, out)?;
    write_axis(scale, TOP - 6.0, chart_end, out)?;
    for (i, lane) in run.lanes.iter().enumerate() {
        let top = TOP + i as f64 * (lane_height + gap);
        write_lane(lane, scale, run.wall, top, lane_height, out)?;
    }
    write_chart(run, scale, chart_top, out)?;
    writeln!(out, "</svg>")
}

/// Where a time stands in the picture.
#[derive(Clone, Copy)]
struct Scale {
    wall: Duration,
}

impl Scale {
    fn x(self, time: Duration) -> f64 {
        let share = time.as_secs_f64() / self.wall.as_secs_f64();
        LEFT + (RIGHT - LEFT) * share.min(1.0)
    }

    fn pixels(self, time: Duration) -> f64 {
        self.x(time) - LEFT
    }
}

fn write_head(run: &Run, height: f64, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" \
         width=\"{WIDTH}\" height=\"{height:.0}\" \
         font-family=\"system-ui, 'Segoe UI', Helvetica, Arial, 'DejaVu Sans', sans-serif\" \
         font-size=\"13\">"
    )?;
    writeln!(out, "<title>delta-engine files {}</title>", Text(&run.table))?;
    write!(out, "<style>text{{fill:#4a4f57}}.l{{stroke:#dfe1e5}}.t{{fill:#eceef1}}")?;
    for &(kind, colour) in KINDS {
        write!(out, ".{}{{fill:{colour}}}", word(kind))?;
    }
    writeln!(out, "</style>")?;
    writeln!(
        out,
        "<rect x=\"0.5\" y=\"0.5\" width=\"{:.1}\" height=\"{:.1}\" rx=\"8\" fill=\"#fafbfc\" \
         stroke=\"#d5d8dd\"/>",
        WIDTH - 1.0,
        height - 1.0,
    )?;
    writeln!(
        out,
        "<text x=\"24\" y=\"34\" font-size=\"17\" style=\"fill:#1f2329\">delta-engine files {}</text>",
        Text(&end_of(&run.table, TITLE_CHARS_MAX)),
    )?;
    writeln!(out, "<text x=\"24\" y=\"58\">{}</text>", Text(&facts(run)))?;
    let mut x = 24.0;
    let has = |kind| run.lanes.iter().any(|lane| lane.doings.iter().any(|d| d.kind == kind));
    let kinds = KINDS.iter().map(|&(kind, _)| kind).filter(|&kind| has(kind));
    for (class, name) in kinds.map(|kind| (word(kind), word(kind))).chain([("t", "idle")]) {
        writeln!(
            out,
            "<rect class=\"{class}\" x=\"{x:.0}\" y=\"72\" width=\"12\" height=\"12\" rx=\"2\"/>\
             <text x=\"{:.0}\" y=\"82.5\" font-size=\"12\">{name}</text>",
            x + 17.0,
        )?;
        x += 36.0 + 7.0 * name.len() as f64;
    }
    Ok(())
}

/// The line below the title.
fn facts(run: &Run) -> String {
    let mut facts = format!("{} wall", Time(run.wall));
    let _ = match run.cores_used() {
        Some(cores) => write!(facts, " · {cores:.2} cores used"),
        None => write!(facts, " · cores used unknown"),
    };
    let _ = match run.threads() {
        0 => write!(facts, " · no workers, the consumer decodes"),
        1 => write!(facts, " · 1 worker and the consumer"),
        threads => write!(facts, " · {threads} workers and the consumer"),
    };
    if let Some(failure) = &run.failure {
        let _ = write!(facts, " · not complete: {failure}");
    }
    cut(&mut facts, LINE_CHARS_MAX);
    facts
}

/// The end of a long name: of a path, that is what tells it from others.
fn end_of(name: &str, chars_max: usize) -> String {
    let chars = name.chars().count();
    if chars <= chars_max {
        return name.to_owned();
    }
    let end: String = name.chars().skip(chars - chars_max + 1).collect();
    format!("…{end}")
}

fn write_axis(scale: Scale, top: f64, bottom: f64, out: &mut dyn Write) -> io::Result<()> {
    let step = tick_step(scale.wall.as_secs_f64() * 1e3);
    for i in 0.. {
        let ms = f64::from(i) * step;
        let x = LEFT + (RIGHT - LEFT) * ms / (scale.wall.as_secs_f64() * 1e3);
        if x > RIGHT + 0.01 {
            break;
        }
        // Rounding is what a sum of steps below one would need.
        let ms = (ms * 1e6).round() / 1e6;
        writeln!(
            out,
            "<line class=\"l\" x1=\"{x:.1}\" y1=\"{top:.1}\" x2=\"{x:.1}\" y2=\"{bottom:.1}\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" font-size=\"12\" text-anchor=\"middle\">{ms}{}</text>",
            bottom + 18.0,
            if i == 0 { " ms" } else { "" },
        )?;
    }
    Ok(())
}

/// Milliseconds from one tick to the next: 1, 2 or 5 times a power of ten, and
/// no more than twelve of them.
fn tick_step(wall_ms: f64) -> f64 {
    let least = wall_ms / 12.0;
    let power = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|n| n * power).into_iter().find(|&s| s >= least).unwrap_or(least)
}

fn write_lane(
    lane: &Lane,
    scale: Scale,
    wall: Duration,
    top: f64,
    height: f64,
    out: &mut dyn Write,
) -> io::Result<()> {
    let middle = top + height / 2.0 + 4.5;
    let size = (height + 2.0).clamp(7.0, 13.0);
    let percent = |time: Duration| 100.0 * time.as_secs_f64() / wall.as_secs_f64().max(1e-9);
    let at_work = percent(lane.at_work());
    let (share, meaning) = match lane.cpu.map(percent) {
        Some(cpu) => (
            format!("{cpu:.0} % CPU"),
            format!("on a core for {cpu:.1} % of the run, at work for {at_work:.1} %"),
        ),
        None => (format!("{at_work:.0} % at work"), format!("{at_work:.1} % of the run")),
    };
    writeln!(
        out,
        "<g><text x=\"{:.0}\" y=\"{middle:.1}\" text-anchor=\"end\" font-size=\"{size:.1}\">{}</text>\
         <rect class=\"t\" x=\"{LEFT}\" y=\"{top:.1}\" width=\"{:.0}\" height=\"{height:.1}\"/>\
         <text x=\"{:.0}\" y=\"{middle:.1}\" font-size=\"{size:.1}\">{share}<title>{meaning}</title></text>",
        LEFT - 10.0,
        Text(&lane.name),
        RIGHT - LEFT,
        RIGHT + 10.0,
    )?;
    for bar in bars(&lane.doings, scale) {
        let x = scale.x(bar.start);
        let width = scale.x(bar.end) - x;
        // A gap that shows where one unit ends and the next begins.
        let width = if width > 3.0 { width - 0.7 } else { width.max(0.5) };
        write!(
            out,
            "<rect class=\"{}\" x=\"{x:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" \
             height=\"{height:.1}\"",
            word(bar.kind),
        )?;
        let share = bar.sum.as_secs_f64() / (bar.end - bar.start).as_secs_f64().max(1e-9);
        if bar.count > 1 && share < 0.95 {
            write!(out, " opacity=\"{:.2}\"", share.max(0.15))?;
        }
        writeln!(out, "><title>{}</title></rect>", Text(&bar.to_string()))?;
    }
    writeln!(out, "</g>")
}

/// One span, or several that are too short to be seen apart.
struct Bar<'a> {
    kind: SpanKind,
    start: Duration,
    end: Duration,
    first: &'a Doing,
    count: usize,
    /// Of its spans alone, without the gaps between them.
    sum: Duration,
    /// Of its spans of its kind.
    sum_of_kind: Duration,
}

/// The bars of a lane: no two adjacent ones shorter than a pixel, so that their
/// number is bounded by the picture's width and not by the log's length.
fn bars<'a>(doings: &'a [Doing], scale: Scale) -> Vec<Bar<'a>> {
    let mut bars: Vec<Bar<'a>> = Vec::new();
    for doing in doings {
        let Doing { kind, start, end, .. } = *doing;
        let length = end.saturating_sub(start);
        let is_short = scale.pixels(length) < 1.0;
        if let Some(last) = bars.last_mut()
            && is_short
            && scale.pixels(start.saturating_sub(last.end)) < 1.0
        {
            // Short spans of one kind go on for as long as they like; of
            // several kinds, they share one pixel, and the longest colours it.
            let is_last_short = scale.pixels(last.end - last.start) < 1.0;
            if is_last_short || (last.kind == kind && last.count > 1) {
                if last.kind == kind {
                    last.sum_of_kind += length;
                } else if length > last.sum_of_kind {
                    (last.kind, last.first, last.sum_of_kind) = (kind, doing, length);
                }
                last.end = last.end.max(end);
                last.count += 1;
                last.sum += length;
                continue;
            }
        }
        let (sum, sum_of_kind) = (length, length);
        bars.push(Bar { kind, start, end, first: doing, count: 1, sum, sum_of_kind });
    }
    bars
}

impl Display for Bar<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", word(self.kind), self.first.name)?;
        if self.count > 1 {
            write!(f, " and {} more", self.count - 1)?;
        }
        write!(f, "\n{} at {}", Time(self.sum), Time(self.start))
    }
}

/// How many lanes were at work at once, as an area below them.
fn write_chart(run: &Run, scale: Scale, top: f64, out: &mut dyn Write) -> io::Result<()> {
    let columns = (RIGHT - LEFT) as usize;
    let mut at_work = vec![0.0; columns];
    let doings = run.lanes.iter().flat_map(|lane| &lane.doings);
    for doing in doings.filter(|doing| doing.kind != SpanKind::Wait) {
        let (start, end) = (scale.pixels(doing.start), scale.pixels(doing.end));
        for (column, at_work) in at_work.iter_mut().enumerate().skip(start as usize) {
            let column = column as f64;
            if column >= end {
                break;
            }
            *at_work += (column + 1.0).min(end) - column.max(start);
        }
    }
    let lanes = run.lanes.len();
    let bottom = top + CHART_HEIGHT;
    let mut path = format!("M{LEFT} {bottom:.1}");
    let mut last = -1.0;
    for (column, &at_work) in at_work.iter().enumerate() {
        // In hundredths, so that what looks level is one line.
        let at_work = (at_work * 100.0_f64).round() / 100.0;
        if at_work != last {
            let x = LEFT + column as f64;
            let _ = write!(path, "H{x}V{:.1}", bottom - CHART_HEIGHT * at_work / lanes as f64);
            last = at_work;
        }
    }
    let _ = write!(path, "H{RIGHT}V{bottom:.1}Z");
    let sum: Duration = run.lanes.iter().map(Lane::at_work).sum();
    let mean = sum.as_secs_f64() / scale.wall.as_secs_f64();
    let middle = top + CHART_HEIGHT / 2.0 + 4.5;
    writeln!(
        out,
        "<text x=\"{:.0}\" y=\"{middle:.1}\" text-anchor=\"end\">at work</text>\
         <rect class=\"t\" x=\"{LEFT}\" y=\"{top:.1}\" width=\"{:.0}\" height=\"{CHART_HEIGHT}\"/>\
         <path d=\"{path}\" fill=\"#7d8591\"><title>how many lanes are at work at once</title></path>\
         <text x=\"{:.0}\" y=\"{middle:.1}\">{mean:.2} of {lanes}</text>",
        LEFT - 10.0,
        RIGHT - LEFT,
        RIGHT + 10.0,
    )
}

/// A time with as many digits as matter.
struct Time(Duration);

impl Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_secs_f64() * 1e3;
        match ms {
            _ if ms >= 10_000.0 => write!(f, "{:.1} s", ms / 1e3),
            _ if ms >= 100.0 => write!(f, "{ms:.0} ms"),
            _ if ms >= 1.0 => write!(f, "{ms:.1} ms"),
            _ => write!(f, "{:.0} µs", ms * 1e3),
        }
    }
}

/// Text between tags, or between quotes. What XML cannot hold at all is shown
/// as an escape, or as a replacement character.
struct Text<'a>(&'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, line) in self.0.split('\n').enumerate() {
            if i > 0 {
                f.write_char('\n')?;
            }
            for c in printable(line).chars() {
                match c {
                    '<' => f.write_str("&lt;")?,
                    '>' => f.write_str("&gt;")?,
                    '&' => f.write_str("&amp;")?,
                    '"' => f.write_str("&quot;")?,
                    '\'' => f.write_str("&#39;")?,
                    '\u{fffe}' | '\u{ffff}' => f.write_char('\u{fffd}')?,
                    c => f.write_char(c)?,
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doing(kind: SpanKind, start_us: u64, end_us: u64) -> Doing {
        let name = format!("unit {start_us}");
        let (start, end) = (Duration::from_micros(start_us), Duration::from_micros(end_us));
        Doing { worker: None, kind, name, start, end }
    }

    /// A pixel is a millisecond.
    const SECOND: Scale = Scale { wall: Duration::from_secs(1) };

    #[test]
    fn short_spans_are_one_bar_and_long_ones_are_their_own() {
        let decode = |start, end| doing(SpanKind::Decode, start, end);
        let short: Vec<_> = (0..100_000).map(|i| decode(i * 10, i * 10 + 8)).collect();
        let merged = bars(&short, SECOND);
        assert_eq!(merged.len(), 1);
        assert_eq!((merged[0].count, merged[0].sum), (100_000, Duration::from_millis(800)));

        let long = [decode(0, 5_000), decode(5_000, 10_000), decode(10_000, 10_100)];
        assert_eq!(bars(&long, SECOND).len(), 3);
        let apart = [decode(0, 100), decode(2_000, 2_100)];
        assert_eq!(bars(&apart, SECOND).len(), 2);
    }

    #[test]
    fn short_spans_of_many_kinds_are_no_more_bars_than_pixels() {
        let kinds = [SpanKind::Decode, SpanKind::Probe, SpanKind::Wait];
        let mixed: Vec<_> = (0..100_000_usize)
            .map(|i| doing(kinds[i % 3], i as u64 * 10, i as u64 * 10 + 10))
            .collect();
        let merged = bars(&mixed, SECOND);
        assert!(merged.len() <= (RIGHT - LEFT) as usize + 1, "{}", merged.len());
        assert_eq!(merged.iter().map(|bar| bar.count).sum::<usize>(), 100_000);
    }

    #[test]
    fn ticks_are_round_numbers_and_no_more_than_twelve() {
        assert_eq!(tick_step(1200.0), 100.0);
        assert_eq!(tick_step(217.0), 20.0);
        assert_eq!(tick_step(0.6), 0.05);
        for wall in [0.001, 0.013, 1.0, 7.0, 99.9, 1e6] {
            let ticks = wall / tick_step(wall);
            assert!((2.0..=12.001).contains(&ticks), "{wall}: {ticks}");
        }
    }

    #[test]
    fn text_is_escaped_and_what_xml_cannot_hold_is_shown() {
        assert_eq!(Text("<&\"'>").to_string(), "&lt;&amp;&quot;&#39;&gt;");
        assert_eq!(Text("a\u{1}\u{ffff}\nb").to_string(), "a\\u{1}\u{fffd}\nb");
    }
}
