//! Who had a core when, as a line of letters.

use crate::report::scale::{Scale, Spacing};
use crate::slices::model::letter;

/// What a core did for a while: the task, or `None` for a switch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    pub(crate) task: Option<usize>,
    pub(crate) start_ns: u64,
    pub(crate) end_ns: u64,
}

/// A column narrower than this part of a slice leaves room to show the switch before it.
const COLUMNS_PER_SLICE: u128 = 2;
/// Foreground and background, from the terminal's own palette.
const COLOURS: u8 = 5;

/// What stands in a column.
type Column = Option<Piece>;

/// The pieces, in the order of time, drawn over so many columns that make `span_ns` together. Each column shows what took
/// most of it; a switch is shown as `|` where the slices beside it leave room, however short it is.
pub(crate) fn line(pieces: &[Piece], span_ns: u64, columns: usize) -> String {
    let mut text = String::new();
    let mut run: Option<(Option<usize>, String)> = None;
    for column in sample(pieces, span_ns, columns) {
        let (task, char) = match column {
            None => (None, ' '),
            Some(Piece { task: None, .. }) => (None, '|'),
            Some(Piece { task: Some(task), .. }) => (Some(task), letter(task)),
        };
        match &mut run {
            Some((before, chars)) if *before == task => chars.push(char),
            _ => {
                text += &run.take().map(coloured).unwrap_or_default();
                run = Some((task, char.to_string()));
            }
        }
    }
    text += &run.map(coloured).unwrap_or_default();
    text.trim_end().to_owned()
}

/// In the colour of the task, where the terminal has colours and `NO_COLOR` is not set.
fn coloured((task, chars): (Option<usize>, String)) -> String {
    match task {
        Some(task) => console::style(chars).black().on_color256(2 + (task as u8 % COLOURS)).to_string(),
        None => chars,
    }
}

/// What each column shows.
fn sample(pieces: &[Piece], span_ns: u64, columns: usize) -> Vec<Column> {
    let mut shown: Vec<(u128, Column)> = vec![(0, None); columns];
    let span = u128::from(span_ns.max(1));
    let width = columns as u128;
    // In units of a nanosecond's part of a column, so that nothing is rounded.
    for piece in pieces {
        let (start, end) = (u128::from(piece.start_ns) * width, u128::from(piece.end_ns) * width);
        let first = (start / span) as usize;
        for (column, shown) in shown.iter_mut().enumerate().skip(first) {
            let left = column as u128 * span;
            if left >= end {
                break;
            }
            let covered = end.min(left + span) - start.max(left);
            if covered > shown.0 {
                *shown = (covered, Some(*piece));
            }
        }
    }
    let has_room =
        |piece: &Piece| u128::from(piece.end_ns - piece.start_ns) * width >= COLUMNS_PER_SLICE * span;
    for beside in pieces.windows(3) {
        if beside[1].task.is_none() && has_room(&beside[0]) && has_room(&beside[2]) {
            let middle = u128::from(beside[1].start_ns.midpoint(beside[1].end_ns)) * width / span;
            if let Some(shown) = shown.get_mut(middle as usize) {
                shown.1 = Some(beside[1]);
            }
        }
    }
    shown.into_iter().map(|shown| shown.1).collect()
}

/// The pieces as they are drawn in so many columns: for pictures with more pieces than can be told apart.
pub(crate) fn merged(pieces: &[Piece], span_ns: u64, columns: usize) -> Vec<Piece> {
    let edge = |column: usize| {
        u64::try_from(u128::from(span_ns) * column as u128 / columns as u128).unwrap_or(u64::MAX)
    };
    let mut merged: Vec<Piece> = Vec::new();
    for (column, shown) in sample(pieces, span_ns, columns).into_iter().enumerate() {
        let Some(Piece { task, .. }) = shown else { continue };
        match merged.last_mut() {
            Some(last) if last.task == task && last.end_ns == edge(column) => last.end_ns = edge(column + 1),
            _ => merged.push(Piece { task, start_ns: edge(column), end_ns: edge(column + 1) }),
        }
    }
    merged
}

/// The axis below the lines: a number at each tick, the unit at the end.
pub(crate) fn axis(span_ns: u64, columns: usize) -> String {
    let (unit_ns, unit) = unit(span_ns);
    let scale = Scale::new(Spacing::Linear, [span_ns as f64 / unit_ns], 0.0, 1.0);
    let mut text = String::new();
    for &tick in scale.ticks() {
        let place = (tick * unit_ns / span_ns.max(1) as f64 * columns as f64).round() as usize;
        let number = crate::format::tick(tick);
        if place + number.len() > columns {
            break;
        }
        if place >= text.len() {
            text += &" ".repeat(place - text.len());
            text += &number;
        }
    }
    format!("{text} {unit}")
}

/// The unit in which a time is shown on an axis.
pub(crate) fn unit(span_ns: u64) -> (f64, &'static str) {
    match span_ns {
        1_000_000_000.. => (1e9, "s"),
        1_000_000.. => (1e6, "ms"),
        1_000.. => (1e3, "us"),
        _ => (1.0, "ns"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(task: Option<usize>, start_ns: u64, end_ns: u64) -> Piece {
        Piece { task, start_ns, end_ns }
    }

    #[test]
    fn a_column_shows_what_took_most_of_it_and_switches_where_there_is_room() {
        let pieces = [piece(Some(0), 0, 40), piece(None, 40, 41), piece(Some(1), 41, 81)];
        assert_eq!(line(&pieces, 100, 10), "AAAA|BBBB");
        assert_eq!(line(&pieces, 100, 5), "AA|BB");
        assert_eq!(line(&pieces, 100, 2), "AB", "no room for the switch");
        assert_eq!(line(&[piece(None, 0, 60), piece(Some(2), 60, 100)], 100, 10), "||||||CCCC");
        assert_eq!(line(&[], 100, 10), "");
    }

    #[test]
    fn columns_wider_than_the_slices_stay_inside_of_the_picture() {
        let pieces: Vec<Piece> = (0..1_000).map(|n| piece(Some((n % 2) as usize), n, n + 1)).collect();
        let line = line(&pieces, 1_000, 72);
        assert_eq!(line.len(), 72);
        assert!(line.chars().all(|char| char == 'A' || char == 'B'), "{line}");
    }

    #[test]
    fn the_axis_has_round_numbers_at_their_places() {
        let axis = axis(21_900_000_000, 72);
        assert_eq!(axis.find("10"), Some(33), "{axis}");
        assert!(axis.ends_with(" s") && axis.starts_with('0') && axis.len() <= 75, "{axis}");
        assert!(super::axis(3, 10).ends_with("ns"));
    }
}
