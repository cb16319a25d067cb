//! What the benches share: interleaved rounds, medians, and a plain table.
#![allow(dead_code, clippy::unwrap_used, clippy::print_stdout, unreachable_pub)]

pub mod limits;
pub mod load;
pub mod prepared;
pub mod process;
pub mod queue;

use std::env;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How often everything is measured. `TITO_BENCH_ROUNDS`, default 5.
pub fn rounds() -> usize {
    env::var("TITO_BENCH_ROUNDS").map_or(5, |rounds| rounds.parse().expect("TITO_BENCH_ROUNDS is a number"))
}

/// `count`, times `TITO_BENCH_SCALE` (default 1).
pub fn scaled(count: usize) -> usize {
    let scale: f64 = env::var("TITO_BENCH_SCALE").map_or(1.0, |scale| scale.parse().expect("TITO_BENCH_SCALE"));
    ((count as f64 * scale) as usize).max(1)
}

/// A directory on the disk that the build is on: `/tmp` can be memory, where an fsync costs nothing.
pub fn directory() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()
}

/// How many of `count` things a second.
pub fn per_second(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

pub fn timed(f: impl FnOnce()) -> Duration {
    let begin = Instant::now();
    f();
    begin.elapsed()
}

/// Something that is measured: given the number of the round it returns a figure.
pub type Contender<'a> = &'a mut dyn FnMut(usize) -> f64;

/// Lets the contenders take turns, so that what else goes on in the machine meets all of them, and returns each one's
/// median. The first round only warms up.
pub fn interleaved<const N: usize>(rounds: usize, contenders: [Contender<'_>; N]) -> [f64; N] {
    let mut figures = [const { Vec::new() }; N];
    for round in 0..=rounds {
        for turn in 0..N {
            // Nobody always comes after the same other.
            let position = if round % 2 == 0 { turn } else { N - 1 - turn };
            let figure = contenders[position](round);
            if round > 0 {
                figures[position].push(figure);
            }
        }
    }
    figures.map(median)
}

pub fn median(figures: Vec<f64>) -> f64 {
    quantile(figures, 0.5)
}

pub fn quantile(mut figures: Vec<f64>, of: f64) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[((figures.len() - 1) as f64 * of).round() as usize]
}

/// Prints lines of cells in columns, the first of each line to the left.
pub fn table(header: &[&str], lines: &[Vec<String>]) {
    let width = |column: usize| {
        let cells = lines.iter().map(|line| line[column].chars().count());
        cells.chain([header[column].chars().count()]).max().unwrap_or(0)
    };
    let print = |cells: Vec<&str>| {
        let padded = cells.iter().enumerate().map(|(column, cell)| match column {
            0 => format!("{cell:<width$}", width = width(column)),
            _ => format!("{cell:>width$}", width = width(column)),
        });
        println!("{}", padded.collect::<Vec<_>>().join("  "));
    };
    print(header.to_vec());
    for line in lines {
        print(line.iter().map(String::as_str).collect());
    }
    println!();
}

/// A number with its thousands apart.
pub fn number(figure: f64) -> String {
    let digits = format!("{figure:.0}");
    let grouped: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap()).collect();
    grouped.join(",")
}

/// A ratio beside the least that is asked of it.
pub fn ratio(figure: f64, asked: f64) -> String {
    format!("{figure:.2} ({})", asked_of(format!("at least {asked:.2}"), figure >= asked))
}

/// A ratio beside the most that is asked of it.
pub fn ratio_at_most(figure: f64, asked: f64) -> String {
    format!("{figure:.2} ({})", asked_of(format!("at most {asked:.2}"), figure <= asked))
}

/// What was asked, and whether it was missed.
pub fn asked_of(what: String, met: bool) -> String {
    format!("asked {what}{}", if met { "" } else { ", missed" })
}
