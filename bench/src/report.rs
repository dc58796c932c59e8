//! Figures for people: medians and quantiles, and the line that says on what machine they were seen.

use std::time::Duration;

/// Sorted figures.
pub(crate) struct Figures(Vec<f64>);

impl Figures {
    pub(crate) fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        Self(figures)
    }

    /// In microseconds.
    pub(crate) fn of_times<'a>(times: impl IntoIterator<Item = &'a Duration>) -> Self {
        Self::of(times.into_iter().map(|time| time.as_secs_f64() * 1e6))
    }

    /// The least figure that this share of all does not exceed; 0 where there is none.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let rank = (share * self.0.len() as f64).ceil() as usize;
        self.0.get(rank.clamp(1, self.0.len().max(1)) - 1).copied().unwrap_or(0.0)
    }

    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// Median, least and greatest.
    pub(crate) fn spread(&self, decimals: usize) -> String {
        let (least, greatest) = (self.quantile(0.0), self.quantile(1.0));
        format!("{:.decimals$}  (min {least:.decimals$}, max {greatest:.decimals$})", self.median())
    }
}

/// A title, and the machine.
pub(crate) fn title(text: &str) {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let cores = info.lines().filter(|line| line.starts_with("processor")).count();
    let load = read("/proc/loadavg");
    let profile = if cfg!(debug_assertions) { "a debug build: the figures mean nothing" } else { "release" };
    println!("\n{text}");
    println!(
        "  {cores} cores, {}; load average {}; {profile}",
        model.trim_start_matches([' ', '\t', ':']),
        load.split(' ').next().unwrap_or_default()
    );
}

/// One line of a table.
pub(crate) fn line(name: &str, text: &str) {
    println!("  {name:<45} {text}");
}
