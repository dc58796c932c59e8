//! The life of a session as a picture: SVG 1.1 with a title and a description for those who cannot see it. Only numbers
//! and our own words go into it: nothing that anybody else wrote.

use std::fmt::Write as _;
use std::time::Duration;

use super::{Event, Shown, clock, renewal};

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 110.0;
const RIGHT: f64 = 40.0;

/// The picture.
pub(in crate::cli) fn drawing(shown: &Shown<'_>) -> String {
    let mut picture = Picture { text: String::new(), until: shown.usage.until };
    picture.lane(60.0, "at work");
    for (start, end) in &shown.life.stretches {
        picture.bar(60.0, *start, *end, "#5b8c5a", "");
    }
    picture.lane(95.0, "access token");
    for (index, event) in picture.apart(&shown.life.events).into_iter().enumerate() {
        let colour = if index % 2 == 0 { "#2f6690" } else { "#81a4cd" };
        let next =
            shown.life.events.iter().find(|other| other.at > event.at && other.access_until > event.access_until);
        let until = next.map_or(event.access_until, |next| next.at.min(event.access_until));
        picture.bar(95.0, event.at, until, colour, &format!("until {}", clock(event.access_until)));
    }
    picture.lane(130.0, "idle limit");
    if let Some(last) = shown.life.events.last() {
        picture.bar(130.0, Duration::ZERO, last.idle_until, "#d9d2b0", &format!("until {}", clock(last.idle_until)));
    }
    picture.lane(165.0, "session");
    let lived = shown.life.end.as_ref().map_or(shown.usage.until, |end| end.at);
    picture.bar(165.0, Duration::ZERO, lived, "#3c3c3c", "");
    picture.wall(shown.life.absolute, "#b3261e", "absolute limit");
    if let Some(end) = &shown.life.end {
        picture.wall(end.at, "#3c3c3c", "ended");
    }
    picture.axis();
    picture.finished(&shown.title(), &shown.summary())
}

struct Picture {
    text: String,
    until: Duration,
}

impl Picture {
    fn x(&self, at: Duration) -> f64 {
        let share = at.min(self.until).as_secs_f64() / self.until.as_secs_f64();
        LEFT + share * (WIDTH - LEFT - RIGHT)
    }

    /// A line of the picture. Writing into a string cannot fail.
    fn put(&mut self, line: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.text, "  {line}");
    }

    fn lane(&mut self, y: f64, name: &str) {
        self.put(format_args!(r#"<text x="10" y="{:.0}">{name}</text>"#, y + 15.0));
    }

    fn bar(&mut self, y: f64, from: Duration, to: Duration, colour: &str, title: &str) {
        let (x, width) = (self.x(from), (self.x(to) - self.x(from)).max(0.5));
        let title = if title.is_empty() { String::new() } else { format!("<title>{title}</title>") };
        self.put(format_args!(
            r#"<rect x="{x:.1}" y="{y:.0}" width="{width:.1}" height="20" fill="{colour}">{title}</rect>"#
        ));
    }

    /// Those that can be told apart in the picture.
    fn apart<'a>(&self, events: &'a [Event]) -> Vec<&'a Event> {
        let mut last = f64::MIN;
        let mints = events.iter().filter(|event| event.at.is_zero() || renewal(event).is_some());
        mints
            .filter(|event| {
                let x = self.x(event.at);
                let seen = x - last >= 1.0;
                last = if seen { x } else { last };
                seen
            })
            .collect()
    }

    fn wall(&mut self, at: Duration, colour: &str, name: &str) {
        if at > self.until {
            return;
        }
        let x = self.x(at);
        self.put(format_args!(
            r#"<line x1="{x:.1}" y1="50" x2="{x:.1}" y2="195" stroke="{colour}" stroke-dasharray="4 3"/>"#
        ));
        let anchor = if x > WIDTH * 0.8 { "end" } else { "start" };
        let y = if name == "ended" { 30.0 } else { 46.0 };
        self.put(format_args!(
            r#"<text x="{x:.1}" y="{y:.0}" text-anchor="{anchor}" fill="{colour}">{name}, {}</text>"#,
            clock(at)
        ));
    }

    fn axis(&mut self) {
        let (left, right) = (LEFT, WIDTH - RIGHT);
        self.put(format_args!(r##"<line x1="{left}" y1="200" x2="{right}" y2="200" stroke="#3c3c3c"/>"##));
        for quarter in 0..=4_u32 {
            let at = self.until / 4 * quarter;
            let x = self.x(at);
            self.put(format_args!(r#"<text x="{x:.1}" y="218" text-anchor="middle">{}</text>"#, clock(at)));
        }
    }

    fn finished(self, title: &str, description: &str) -> String {
        format!(
            concat!(
                r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" "#,
                r#"aria-labelledby="title desc" font-family="sans-serif" font-size="13">"#,
                "\n  <title id=\"title\">{title}</title>\n  <desc id=\"desc\">{description}</desc>\n",
                "  <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n{}",
                "  <text x=\"10\" y=\"240\">{title}</text>\n</svg>\n"
            ),
            self.text,
            WIDTH = WIDTH,
            HEIGHT = HEIGHT,
            title = title,
            description = description,
        )
    }
}

#[cfg(test)]
mod tests {
    use remint_core::policy::Policy;

    use super::super::tests::{told, usage};
    use super::*;

    #[test]
    fn the_picture_has_a_title_a_description_and_both_walls() {
        let drawn = told(&Policy::rolling(), &usage(), drawing);
        for part in [
            "role=\"img\" aria-labelledby=\"title desc\"",
            "<title id=\"title\">A session under the policy rolling: token 20m, absolute 12h</title>",
            "<desc id=\"desc\">Used for 2h, then nobody for 30m, and so on, it was renewed",
            ">absolute limit, 12:00:00<",
            ">ended, 02:",
        ] {
            assert!(drawn.contains(part), "{part}: {drawn}");
        }
        assert!(drawn.matches("<rect").count() == drawn.matches("</rect>").count() + 1 && drawn.ends_with("</svg>\n"));
    }

    #[test]
    fn a_long_life_is_no_larger_than_can_be_seen() {
        let long = super::super::Usage { until: Duration::from_secs(80 * 86_400), ..usage() };
        let drawn = told(&Policy::refresh(), &long, drawing);
        assert!(drawn.len() < 400_000, "{}", drawn.len());
    }
}
