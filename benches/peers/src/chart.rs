//! The results as a picture: by how much the wall time is above the floor's.

use std::path::Path;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::log_shapes::Result;
use crate::{Contest, Entry};

const WIDTH: i32 = 900;
/// Where the floor is: left of it names are written.
const LEFT: i32 = 220;
/// Right of it the longest bar's number still has room.
const RIGHT: i32 = 740;
const TOP: i32 = 56;
const BAR: i32 = 20;
/// The name of a contest, and the space above it.
const HEAD: i32 = 34;

// They can be read on white and on black; the ground is left as it is.
const TEXT: RGBColor = RGBColor(125, 133, 144);
const ENGINE: RGBColor = RGBColor(47, 129, 214);
const KERNEL: RGBColor = RGBColor(214, 120, 42);
const DELTALAKE: RGBColor = RGBColor(64, 150, 96);
const FLOOR: RGBColor = TEXT;

/// The scale is logarithmic: it begins at the floor.
struct Scale {
    most: f64,
}

impl Scale {
    fn x(&self, ratio: f64) -> i32 {
        let place = ratio.max(1e-3).ln() / self.most.max(2.0).ln();
        // What is faster than the floor is drawn to its left, as far as there is room.
        (f64::from(LEFT) + f64::from(RIGHT - LEFT) * place).max(f64::from(LEFT) - 20.0) as i32
    }
}

pub(crate) fn draw(contests: &[Contest], path: &Path) -> Result<()> {
    let shown: Vec<_> = contests
        .iter()
        .map(|contest| (contest, bars(contest)))
        .filter(|(_, b)| !b.is_empty())
        .collect();
    let rows: usize = shown.iter().map(|(_, bars)| bars.len()).sum();
    let height = TOP + HEAD * shown.len() as i32 + BAR * rows as i32 + 16;
    let ratios = shown.iter().flat_map(|(_, bars)| bars).map(|bar| bar.ratio);
    let scale = Scale { most: ratios.fold(2.0, f64::max) };

    let area = SVGBackend::new(path, (WIDTH as u32, height as u32)).into_drawing_area();
    let text = |size: i32, color: &RGBColor, right: bool| {
        let anchor = Pos::new(if right { HPos::Right } else { HPos::Left }, VPos::Center);
        ("sans-serif", size).into_font().color(color).pos(anchor)
    };
    let title = "Listing a table's live files: wall time, as a multiple of the floor's (log scale)";
    area.draw(&Text::new(title, (8, 16), text(18, &TEXT, false)))?;
    for tick in [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0] {
        if tick <= scale.most {
            let x = scale.x(tick);
            area.draw(&PathElement::new(vec![(x, TOP - 4), (x, height - 12)], TEXT.mix(0.25)))?;
            area.draw(&Text::new(format!("{tick}×"), (x - 6, TOP - 14), text(15, &TEXT, false)))?;
        }
    }
    let mut y = TOP;
    for (contest, bars) in &shown {
        area.draw(&Text::new(contest.name(), (8, y + HEAD - 12), text(17, &TEXT, false)))?;
        y += HEAD;
        for Bar { name, wall_s, ratio, color } in bars {
            let middle = y + BAR / 2;
            let (from, to) = (scale.x(1.0), scale.x(*ratio));
            let ends = [(from.min(to), y + 3), (from.max(to).max(from + 1), y + BAR - 3)];
            area.draw(&Rectangle::new(ends, color.filled()))?;
            area.draw(&Text::new(*name, (LEFT - 26, middle), text(15, &TEXT, true)))?;
            let number = match contest.repeats() {
                1 => format!("{wall_s:.2} s · {ratio:.1}×"),
                _ => format!("{:.2} ms · {ratio:.1}×", wall_s * 1e3),
            };
            area.draw(&Text::new(number, (from.max(to) + 6, middle), text(15, &TEXT, false)))?;
            y += BAR;
        }
    }
    area.present()?;
    Ok(())
}

struct Bar {
    name: &'static str,
    wall_s: f64,
    ratio: f64,
    color: RGBColor,
}

/// Of the kernel there are two bars at most: as it comes, and its best.
fn bars(contest: &Contest) -> Vec<Bar> {
    let Some(floor) = contest.wall_s_of("floor") else { return Vec::new() };
    let best = contest.best_kernel().map(|entry| entry.contestant);
    let is_shown = |entry: &&Entry| {
        let contestant = entry.contestant;
        !contestant.is_kernel() || contestant.name == "kernel" || Some(contestant) == best
    };
    let bar = |entry: &Entry| Bar {
        name: entry.contestant.name,
        wall_s: entry.wall_s(),
        ratio: entry.wall_s() / floor,
        color: match entry.contestant {
            contestant if contestant.is_kernel() => KERNEL,
            contestant if contestant.is_python() => DELTALAKE,
            contestant if contestant.name == "floor" => FLOOR,
            _ => ENGINE,
        },
    };
    contest
        .entries
        .iter()
        .filter(|entry| !entry.runs.is_empty())
        .filter(is_shown)
        .map(bar)
        .collect()
}
