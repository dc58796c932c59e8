//! The life of a session as three bars of characters over one axis of time. Never wider than the terminal.

use std::time::Duration;

use super::{Shown, clock, renewal};

/// The names before the bars.
const MARGIN: usize = 9;
/// No wider than this, however wide the terminal is; and never narrower than can be read.
const WIDTHS: std::ops::RangeInclusive<usize> = 20..=100;

/// The bars, `width` characters at most.
pub(in crate::cli) fn drawing(shown: &Shown<'_>, width: usize) -> String {
    let width = width.saturating_sub(MARGIN).clamp(*WIDTHS.start(), *WIDTHS.end());
    let axis = Axis { width, until: shown.usage.until };
    let end = shown.life.end.as_ref().map(|end| end.at);
    let work = axis.cells(|from, to| {
        let worked = shown.life.stretches.iter().map(|(start, end)| (*end).min(to).saturating_sub((*start).max(from)));
        match worked.sum::<Duration>().as_secs_f64() / (to - from).as_secs_f64() {
            share if share > 0.75 => '█',
            share if share > 0.0 => '▄',
            _ => '·',
        }
    });
    let renewed = axis.cells(|from, to| {
        let within = |event: &&super::Event| renewal(event).is_some() && (from..to).contains(&event.at);
        match shown.life.events.iter().filter(within).count() {
            0 => ' ',
            1 => '│',
            _ => '┃',
        }
    });
    let session = axis.cells(|from, to| match end {
        Some(end) if end < from => ' ',
        Some(end) if end < to => '╳',
        Some(_) | None => '━',
    });
    let (start, until) = (clock(Duration::ZERO), clock(shown.usage.until));
    let scale = format!("{start}{until:>rest$}", rest = width.saturating_sub(start.len()));
    [("at work", work), ("renewed", renewed), ("session", session), ("", scale)]
        .map(|(name, bar)| format!("{name:MARGIN$}{bar}").trim_end().to_owned())
        .join("\n")
}

struct Axis {
    width: usize,
    until: Duration,
}

impl Axis {
    /// One character for each slice of time.
    fn cells(&self, cell: impl Fn(Duration, Duration) -> char) -> String {
        (0..self.width).map(|index| cell(self.at(index), self.at(index + 1))).collect()
    }

    fn at(&self, index: usize) -> Duration {
        #[expect(clippy::cast_precision_loss, reason = "a screen has a hundred columns")]
        self.until.mul_f64(index as f64 / self.width as f64)
    }
}

#[cfg(test)]
mod tests {
    use remint_core::policy::Policy;

    use super::super::tests::{told, usage};
    use super::*;

    #[test]
    fn the_bars_fit_the_terminal_and_show_the_end_where_it_is() {
        for width in [30, 80, 400] {
            let drawn = told(&Policy::rolling(), &usage(), |shown| drawing(shown, width));
            assert!(drawn.lines().all(|line| line.chars().count() <= width.min(MARGIN + 100)), "{drawn}");
            let session = drawn.lines().nth(2).unwrap();
            assert!(session.ends_with('╳') && session.chars().filter(|c| *c == '━').count() < width / 8, "{drawn}");
        }
    }

    #[test]
    fn a_pause_shorter_than_a_column_is_seen() {
        let drawn = told(&Policy::refresh(), &usage(), |shown| drawing(shown, 80));
        let work = drawn.lines().next().unwrap();
        assert!(work.contains('█') && work.contains('▄') && work.chars().count() == 80, "{work}");
    }

    #[test]
    fn a_session_that_lives_has_a_bar_to_the_end() {
        let drawn = told(&Policy::refresh(), &usage(), |shown| drawing(shown, 80));
        assert_eq!(drawn.lines().nth(2).unwrap().chars().filter(|c| *c == '━').count(), 80 - MARGIN);
    }
}
