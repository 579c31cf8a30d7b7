//! One plot: a title, two axes, a line for each series named at its end, and whiskers for the spreads.

use crate::report::scale::Scale;
use crate::report::svg::{Anchor, Svg};

/// The size of a plot; the page scales it.
const WIDTH: f64 = 534.0;
const HEIGHT: f64 = 320.0;

/// What is left around the drawing for title, axes and names.
const LEFT: f64 = 64.0;
const RIGHT: f64 = 126.0;
const TOP: f64 = 46.0;
const BOTTOM: f64 = 46.0;

/// Names of series stand so far apart at least, and labels of the horizontal axis.
const NAME_HEIGHT: f64 = 15.0;
const LABEL_WIDTH: f64 = 46.0;

/// The left and right, and the bottom and top of the drawing: where scales go.
pub(super) const ACROSS: (f64, f64) = (LEFT + 10.0, WIDTH - RIGHT - 10.0);
pub(super) const UPWARDS: (f64, f64) = (HEIGHT - BOTTOM, TOP);

/// A plot.
pub(super) struct Plot<'a> {
    /// What is shown, with its unit.
    pub(super) title: String,
    /// What the horizontal axis is.
    pub(super) across: &'a str,
    /// The horizontal scale.
    pub(super) x: Scale,
    /// The vertical scale.
    pub(super) y: Scale,
    /// How values of the horizontal axis are written.
    pub(super) x_label: fn(f64) -> String,
    /// How values of the vertical axis are written.
    pub(super) y_label: fn(f64) -> String,
    /// The lines.
    pub(super) series: Vec<Series>,
    /// A horizontal line with its name, for comparison.
    pub(super) mark: Option<(f64, &'a str)>,
}

/// A line of a plot.
pub(super) struct Series {
    /// Its name, at the end of the line.
    pub(super) name: String,
    /// The class of its colour.
    pub(super) class: String,
    /// Whether it is dashed.
    pub(super) dashed: bool,
    /// How far it is drawn to the right of its values, so that spreads of different plans do not hide each other.
    pub(super) shift: f64,
    /// Whether its points get dots.
    pub(super) dots: bool,
    /// Its points, from left to right.
    pub(super) points: Vec<Point>,
    /// Places on the horizontal axis where it should have a point and has none.
    pub(super) missing: Vec<f64>,
}

/// A point with the spread of its value.
pub(super) struct Point {
    /// Horizontal.
    pub(super) x: f64,
    /// Vertical.
    pub(super) y: f64,
    /// The smallest and the largest value.
    pub(super) spread: Option<(f64, f64)>,
    /// What whoever points at it is told.
    pub(super) title: String,
}

impl Plot<'_> {
    /// The plot as SVG.
    pub(super) fn draw(&self) -> String {
        let mut svg = Svg::new(WIDTH, HEIGHT, &self.title);
        svg.text("title", (LEFT, 22.0), Anchor::Start, &self.title);
        self.draw_axes(&mut svg);
        if let Some((value, name)) = self.mark {
            let y = self.y.place(value);
            svg.line("mark", (LEFT, y), (WIDTH - RIGHT, y));
            svg.text("mark-name", (LEFT + 6.0, y - 6.0), Anchor::Start, name);
        }
        for series in &self.series {
            self.draw_series(&mut svg, series);
        }
        self.draw_names(&mut svg);
        svg.finish()
    }

    fn draw_axes(&self, svg: &mut Svg) {
        let bottom = HEIGHT - BOTTOM;
        for &tick in self.y.ticks() {
            let y = self.y.place(tick);
            svg.line("grid", (LEFT, y), (WIDTH - RIGHT, y));
            svg.text("tick", (LEFT - 8.0, y + 4.0), Anchor::End, &(self.y_label)(tick));
        }
        svg.line("axis", (LEFT, bottom), (WIDTH - RIGHT, bottom));
        let mut free_from = f64::NEG_INFINITY;
        for &tick in self.x.ticks() {
            let x = self.x.place(tick);
            svg.line("axis", (x, bottom), (x, bottom + 5.0));
            if x >= free_from {
                svg.text("tick", (x, bottom + 19.0), Anchor::Middle, &(self.x_label)(tick));
                free_from = x + LABEL_WIDTH;
            }
        }
        let middle = f64::midpoint(LEFT, WIDTH - RIGHT);
        svg.text("tick", (middle, HEIGHT - 8.0), Anchor::Middle, self.across);
    }

    fn draw_series(&self, svg: &mut Svg, series: &Series) {
        let class = &series.class;
        let dashed = if series.dashed { " dashed" } else { "" };
        let places: Vec<(f64, f64)> = series
            .points
            .iter()
            .map(|point| (self.x.place(point.x) + series.shift, self.y.place(point.y)))
            .collect();
        svg.path(&format!("series {class}{dashed}"), &places);
        for (point, &(x, y)) in series.points.iter().zip(&places) {
            if let Some((low, high)) = point.spread {
                let (low, high) = (self.y.place(low), self.y.place(high));
                svg.line(&format!("whisker {class}"), (x, low), (x, high));
            }
            if series.dots {
                svg.dot(&format!("dot {class}"), (x, y), &point.title);
            }
        }
        for &missing in &series.missing {
            let (x, y) = (self.x.place(missing), HEIGHT - BOTTOM - 8.0);
            svg.text(&format!("name {class}"), (x, y), Anchor::End, "not run \u{d7}");
        }
    }

    /// Names at the ends of the lines, moved apart where lines end close together.
    fn draw_names(&self, svg: &mut Svg) {
        let mut names: Vec<(f64, &Series)> = self
            .series
            .iter()
            .filter_map(|series| Some((self.y.place(series.points.last()?.y), series)))
            .collect();
        names.sort_by(|one, other| one.0.total_cmp(&other.0));
        let wanted: Vec<f64> = names.iter().map(|name| name.0).collect();
        for ((_, series), y) in names.iter().zip(spread_out(&wanted, TOP, HEIGHT - BOTTOM)) {
            let at = (WIDTH - RIGHT + 8.0, y + 4.0);
            svg.text(&format!("name {}", series.class), at, Anchor::Start, &series.name);
        }
    }
}

/// Moves sorted places apart until each two are [`NAME_HEIGHT`] apart, within `top` and `bottom` where they fit.
fn spread_out(wanted: &[f64], top: f64, bottom: f64) -> Vec<f64> {
    let mut places = wanted.to_vec();
    let mut least = top;
    for place in &mut places {
        *place = place.max(least);
        least = *place + NAME_HEIGHT;
    }
    let mut most = bottom;
    for place in places.iter_mut().rev() {
        *place = place.min(most);
        most = *place - NAME_HEIGHT;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_overlap_are_moved_apart() {
        let places = spread_out(&[100.0, 101.0, 102.0], 0.0, 300.0);
        assert!(places.windows(2).all(|pair| pair[1] - pair[0] >= NAME_HEIGHT), "{places:?}");
        let low = spread_out(&[299.0, 300.0], 0.0, 300.0);
        assert_eq!(low, [285.0, 300.0]);
        assert_eq!(spread_out(&[10.0, 200.0], 0.0, 300.0), [10.0, 200.0]);
    }
}
