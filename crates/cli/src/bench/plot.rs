//! The report as a picture: latency by share of the deliveries, and deliveries over time.
//!
//! Two lines on a grid, written as SVG here. A plotting crate knows no axis of percentiles, and would be the larger part of
//! `bench`.

use std::fmt::Write as _;

use super::plan::Pace;
use super::report::{Report, count, latency};

/// Read on white and on black alike: each has a contrast of about 4.5 to both.
const GREY: &str = "#777777";
const BLUE: &str = "#1f7fd4";
const ORANGE: &str = "#c4620a";

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 720.0;
const LEFT: f64 = 96.0;
const RIGHT: f64 = 40.0;

/// Where a panel lies, from top to bottom.
const LATENCY: (f64, f64) = (120.0, 380.0);
const COURSE: (f64, f64) = (480.0, 660.0);

pub(super) fn svg(report: &Report) -> String {
    let mut svg = Svg::new(report);
    if report.tally.measured > 0 {
        latency_panel(&mut svg, report);
        course_panel(&mut svg, report);
    } else {
        svg.text(WIDTH / 2.0, HEIGHT / 2.0, "middle", 16.0, "nothing was delivered in the measured time");
    }
    svg.finish()
}

/// The axis gives each further nine the same room, so that the slowest deliveries can be seen.
fn latency_panel(svg: &mut Svg, report: &Report) {
    let histogram = &report.tally.latency_us;
    let nines_max = (report.tally.measured as f64).log10().max(1.0);
    let x = |quantile: f64| {
        let nines = -(1.0 - quantile).max(1e-12).log10();
        LEFT + (nines / nines_max).min(1.0) * (WIDTH - LEFT - RIGHT)
    };
    let (low, high) = (histogram.min().max(1) as f64, histogram.max().max(2) as f64);
    let (bottom, top) = (decade_step_below(low), decade_step_above(high));
    let y = |us: f64| LATENCY.1 - (us.max(bottom) / bottom).log10() / (top / bottom).log10() * (LATENCY.1 - LATENCY.0);

    let since = match report.plan.pace {
        Pace::Rate(_) => "due",
        Pace::InFlight(_) => "sent",
    };
    svg.heading(LATENCY.0, &format!("Latency, from when an event was {since} to its last byte"));
    let steps = decade_steps(bottom, top);
    // One, two and five of each decade while there is room for them.
    let shown = |us: &f64| steps.len() <= 12 || us.log10().fract().abs() < 1e-9;
    for us in steps.iter().filter(|us| shown(us)) {
        svg.horizontal(y(*us), &axis_latency(*us));
    }
    let nines = |quantile: f64| -(1.0 - quantile).log10();
    let marks = [
        (0.0, "0 %"),
        (0.5, "50 %"),
        (0.9, "90 %"),
        (0.99, "99 %"),
        (0.999, "99.9 %"),
        (0.9999, "99.99 %"),
        (0.99999, "99.999 %"),
    ];
    for (quantile, name) in marks.into_iter().filter(|(quantile, _)| nines(*quantile) <= nines_max) {
        svg.vertical(x(quantile), LATENCY, name);
    }
    svg.text(WIDTH - RIGHT, LATENCY.1 + 40.0, "end", 13.0, "share of the deliveries that came within it");

    let points = 400;
    let quantiles = (0..=points).map(|point| 1.0 - 10_f64.powf(-nines_max * f64::from(point) / f64::from(points)));
    let line: Vec<_> = quantiles.map(|quantile| (x(quantile), y(report.quantile(quantile) as f64))).collect();
    svg.area(&line, LATENCY.1);
    for (quantile, name) in [(0.5, "p50"), (0.99, "p99"), (0.999, "p99.9"), (1.0, "max")] {
        let us = if quantile == 1.0 { histogram.max() } else { report.quantile(quantile) };
        if nines(quantile) <= nines_max || quantile == 1.0 {
            svg.dot(x(quantile), y(us as f64), &format!("{name} {}", latency(us)));
        }
    }
}

fn course_panel(svg: &mut Svg, report: &Report) {
    let course = &report.tally.course;
    let interval = course.interval.as_secs_f64();
    let seconds = report.seconds().max(interval);
    // The last interval may have been cut short by the end.
    let length = |point: usize| (seconds - point as f64 * interval).clamp(interval / 10.0, interval);
    let rates = course.deliveries.iter().enumerate().map(|(point, deliveries)| *deliveries as f64 / length(point));
    let rates: Vec<f64> = rates.collect();
    let asked = match report.plan.pace {
        Pace::Rate(rate) => Some(rate * report.plan.readers().iter().sum::<u64>() as f64 / report.plan.topics as f64),
        Pace::InFlight(_) => None,
    };
    let step = nice_step(rates.iter().copied().chain(asked).fold(1.0, f64::max) * 1.1 / 4.0);
    let top = step * 4.0;
    let x = |second: f64| LEFT + (second / seconds).min(1.0) * (WIDTH - LEFT - RIGHT);
    let y = |rate: f64| COURSE.1 - rate / top * (COURSE.1 - COURSE.0);

    svg.heading(COURSE.0, "Deliveries per second");
    for tick in 0..=4 {
        let rate = step * f64::from(tick);
        let name = if step < 1.0 { format!("{rate:.1}") } else { count(rate.round() as u64) };
        svg.horizontal(y(rate), &name);
    }
    let step = nice_step(seconds / 10.0);
    let mut second = 0.0;
    while second <= seconds * 1.0001 {
        svg.vertical(x(second), COURSE, &format!("{} s", (second * 1000.0).round() / 1000.0));
        second += step;
    }
    // A step for each interval: a slope between two of them would show what was not measured.
    let steps = rates.iter().enumerate().flat_map(|(point, rate)| {
        let (start, end) = (point as f64 * interval, (point + 1) as f64 * interval);
        [(x(start), y(*rate)), (x(end), y(*rate))]
    });
    svg.area(&steps.collect::<Vec<_>>(), COURSE.1);
    if let Some(asked) = asked {
        svg.dashed(y(asked), COURSE.0, &format!("dashed: {} asked for", count(asked.round() as u64)));
    }
}

/// 1, 2 or 5 times a power of ten.
fn decade_steps(bottom: f64, top: f64) -> Vec<f64> {
    let decades = bottom.log10().floor() as i32..=top.log10().ceil() as i32;
    let steps = decades.flat_map(|decade| [1.0, 2.0, 5.0].map(|step| step * 10_f64.powi(decade)));
    steps.filter(|step| *step >= bottom * 0.999 && *step <= top * 1.001).collect()
}

fn decade_step_below(value: f64) -> f64 {
    decade_steps(value / 10.0, value).last().copied().unwrap_or(value)
}

fn decade_step_above(value: f64) -> f64 {
    decade_steps(value, value * 10.0).first().copied().unwrap_or(value)
}

/// The step of an axis, so that its numbers are round.
fn nice_step(at_least: f64) -> f64 {
    decade_step_above(at_least.max(1e-6))
}

fn axis_latency(us: f64) -> String {
    match us {
        1e6.. => format!("{} s", (us / 1e6).round()),
        1e3.. => format!("{} ms", (us / 1e3).round()),
        _ => format!("{} µs", us.round()),
    }
}

/// A document that is being written. Everything in it is a number or escaped.
struct Svg {
    text: String,
}

impl Svg {
    fn new(report: &Report) -> Self {
        let mut svg = Self { text: String::new() };
        let _ = write!(
            svg.text,
            r#"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="system-ui, sans-serif" fill="{GREY}" role="img">
<title>fanfare bench {}: {}</title>
"#,
            escape(&report.plan.target.url),
            escape(&report.settings()),
        );
        svg.text(LEFT, 36.0, "start", 20.0, &format!("fanfare bench {}", report.plan.target.url));
        svg.text(LEFT, 60.0, "start", 14.0, &report.settings());
        let tally = &report.tally;
        let outcome = if report.is_clean() {
            format!("{} deliveries, none lost, doubled or out of order", count(tally.delivered))
        } else {
            format!(
                "{} deliveries; {} lost, {} doubled, {} out of order",
                count(tally.delivered),
                count(report.lost),
                count(tally.duplicated),
                count(tally.reordered)
            )
        };
        let fill = if report.is_clean() { GREY } else { ORANGE };
        svg.coloured(LEFT, 80.0, "start", 14.0, fill, &outcome);
        svg
    }

    fn heading(&mut self, top: f64, text: &str) {
        self.text(LEFT, top - 12.0, "start", 14.0, text);
    }

    fn text(&mut self, x: f64, y: f64, anchor: &str, size: f64, text: &str) {
        self.coloured(x, y, anchor, size, GREY, text);
    }

    fn coloured(&mut self, x: f64, y: f64, anchor: &str, size: f64, fill: &str, text: &str) {
        let text = escape(text);
        let _ = writeln!(
            self.text,
            r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" font-size="{size}" fill="{fill}">{text}</text>"#
        );
    }

    /// A line of the grid and its name at the axis.
    fn horizontal(&mut self, y: f64, name: &str) {
        self.grid(LEFT, y, WIDTH - RIGHT, y);
        self.text(LEFT - 10.0, y + 4.5, "end", 13.0, name);
    }

    fn vertical(&mut self, x: f64, panel: (f64, f64), name: &str) {
        self.grid(x, panel.0, x, panel.1);
        self.text(x, panel.1 + 20.0, "middle", 13.0, name);
    }

    fn grid(&mut self, x1: f64, y1: f64, x2: f64, y2: f64) {
        let _ = writeln!(
            self.text,
            r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" stroke="{GREY}" stroke-opacity="0.3"/>"#
        );
    }

    /// A line, and what lies between it and `floor`.
    fn area(&mut self, points: &[(f64, f64)], floor: f64) {
        let (Some(first), Some(last)) = (points.first(), points.last()) else { return };
        let line: String = points.iter().map(|(x, y)| format!(" {x:.1},{y:.1}")).collect();
        let line = line.trim_start();
        let (start, end) = (first.0, last.0);
        let _ = writeln!(
            self.text,
            r#"<polygon points="{start:.1},{floor:.1} {line} {end:.1},{floor:.1}" fill="{BLUE}" fill-opacity="0.15"/>
<polyline points="{line}" fill="none" stroke="{BLUE}" stroke-width="2" stroke-linejoin="round"/>"#
        );
    }

    fn dot(&mut self, x: f64, y: f64, name: &str) {
        let _ = writeln!(self.text, r#"<circle cx="{x:.1}" cy="{y:.1}" r="4" fill="{ORANGE}"/>"#);
        // The line only rises: above to the left it does not come, nor below to the right, where there is room at the axis.
        if x < WIDTH / 3.0 {
            self.coloured(x + 8.0, y + 16.0, "start", 13.0, ORANGE, name);
        } else {
            self.coloured(x - 8.0, y - 8.0, "end", 13.0, ORANGE, name);
        }
    }

    /// A dashed line at `y`, explained above the panel that begins at `top`.
    fn dashed(&mut self, y: f64, top: f64, name: &str) {
        let end = WIDTH - RIGHT;
        let _ = writeln!(
            self.text,
            r#"<line x1="{LEFT}" y1="{y:.1}" x2="{end}" y2="{y:.1}" stroke="{ORANGE}" stroke-width="1.5" stroke-dasharray="6 5"/>"#
        );
        self.coloured(end, top - 12.0, "end", 13.0, ORANGE, name);
    }

    fn finish(mut self) -> String {
        self.text.push_str("</svg>\n");
        self.text
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_round_numbers() {
        assert_eq!(decade_steps(20.0, 1000.0), [20.0, 50.0, 100.0, 200.0, 500.0, 1000.0]);
        for (value, below, above) in [(37.0, 20.0, 50.0), (1.0, 1.0, 1.0), (999.0, 500.0, 1000.0)] {
            assert_eq!((decade_step_below(value), decade_step_above(value)), (below, above), "{value}");
        }
        assert_eq!([2_750.0, 0.03, 5.0].map(nice_step), [5_000.0, 0.05, 5.0]);
        assert_eq!([20.0, 5_000.0, 2e6].map(axis_latency), ["20 µs", "5 ms", "2 s"]);
    }

    #[test]
    fn text_is_no_markup() {
        assert_eq!(escape(r#"<a b="c">&"#), "&lt;a b=&quot;c&quot;&gt;&amp;");
    }
}
