//! Two servers under the same load, in turns, each on the same core: the measured one, and the floor.

use std::time::Duration;

use crate::child::{Server, own_cpu_seconds};
use crate::load::{Load, Sample, press};
use crate::report::{Figures, line};
use crate::{Fallible, Scale};

/// One side of one round.
pub(crate) struct Side {
    sample: Sample,
    server_cpu: f64,
    driver_cpu: f64,
}

impl Side {
    /// Requests in a second of the server's processor time: what neighbours on the machine disturb least.
    fn per_cpu_second(&self) -> f64 {
        self.sample.latencies.len() as f64 / self.server_cpu
    }

    fn server_busy(&self) -> f64 {
        100.0 * self.server_cpu / self.sample.seconds
    }

    fn driver_busy(&self) -> f64 {
        100.0 * self.driver_cpu / self.sample.seconds
    }
}

/// All rounds of both.
pub(crate) struct Turns {
    remint: Vec<Side>,
    floor: Vec<Side>,
}

/// Who begins changes from round to round.
pub(crate) async fn turns(remint: (&Server, &Load), floor: (&Server, &Load), scale: Scale) -> Fallible<Turns> {
    let mut turns = Turns { remint: Vec::new(), floor: Vec::new() };
    for round in 0..scale.rounds {
        for turn in [round % 2, (round + 1) % 2] {
            if turn == 0 {
                turns.remint.push(side(remint, scale).await?);
            } else {
                turns.floor.push(side(floor, scale).await?);
            }
        }
    }
    Ok(turns)
}

async fn side((server, load): (&Server, &Load), scale: Scale) -> Fallible<Side> {
    let before = (server.cpu_seconds()?, own_cpu_seconds()?);
    let sample = press(server.address, scale.connections, Duration::from_secs(scale.seconds), load).await?;
    let after = (server.cpu_seconds()?, own_cpu_seconds()?);
    if sample.latencies.is_empty() {
        return Err("all sessions are spent: fewer rounds, or more sessions".into());
    }
    Ok(Side { sample, server_cpu: after.0 - before.0, driver_cpu: after.1 - before.1 })
}

impl Turns {
    fn ratio(&self, figure: fn(&Side) -> f64) -> String {
        let pairs = self.remint.iter().zip(&self.floor);
        Figures::of(pairs.map(|(remint, floor)| figure(remint) / figure(floor))).spread(3)
    }

    /// Everything that was seen.
    pub(crate) fn print(&self) {
        line("ratio to the floor, requests per second", &self.ratio(|side| side.sample.per_second()));
        line("ratio to the floor, per processor second", &self.ratio(Side::per_cpu_second));
        for (name, sides) in [("remint", &self.remint), ("floor", &self.floor)] {
            let figures = |figure: fn(&Side) -> f64| Figures::of(sides.iter().map(figure));
            let times = Figures::of_times(sides.iter().flat_map(|side| &side.sample.latencies));
            let quantiles = [0.5, 0.99, 0.999].map(|share| times.quantile(share) / 1e3);
            line(&format!("{name}: requests per second"), &figures(|side| side.sample.per_second()).spread(0));
            line(&format!("{name}: requests per processor second"), &figures(Side::per_cpu_second).spread(0));
            let quantiles = quantiles.map(|ms| format!("{ms:.2}")).join(" / ");
            line(&format!("{name}: latency p50 / p99 / p99.9, ms"), &quantiles);
            line(&format!("{name}: its core in use, %"), &figures(Side::server_busy).spread(0));
            line(&format!("{name}: the load's core in use, %"), &figures(Side::driver_busy).spread(0));
        }
    }

    /// The ratio by processor time, and how many that is in a second of it.
    pub(crate) fn print_briefly(&self, name: &str) {
        let each = Figures::of(self.remint.iter().map(Side::per_cpu_second));
        line(name, &format!("{}; {:.0}/s", self.ratio(Side::per_cpu_second), each.median()));
    }
}
