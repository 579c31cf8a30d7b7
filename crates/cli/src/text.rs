//! Text for terminals of 80 columns: paragraphs and tables.

use comfy_table::{CellAlignment, LineStyle, Table, TableStyle, presets};

/// Everything is laid out for a terminal of this width.
pub(crate) const WIDTH: usize = 80;

/// `text` in lines of at most 80 columns, those after the first with `indent` before them.
pub(crate) fn wrap(text: &str, indent: &str) -> String {
    // Flags such as --thread-stack stay whole.
    let options = textwrap::Options::new(WIDTH)
        .subsequent_indent(indent)
        .word_splitter(textwrap::WordSplitter::NoHyphenation);
    textwrap::fill(text, options) + "\n"
}

/// A header line ruled off, nothing else: columns stand one blank apart.
const STYLE: TableStyle = presets::NOTHING.header_separator(LineStyle::none().fill('-').junction('-'));

/// An empty table with these columns.
pub(crate) fn table(columns: &[(&str, CellAlignment)]) -> Table {
    let mut table = Table::new();
    table.load_style(STYLE).set_header(columns.iter().map(|column| column.0));
    for (column, (_, alignment)) in table.column_iter_mut().zip(columns) {
        column.set_padding((0, 0));
        column.set_cell_alignment(*alignment);
    }
    table
}

/// The table as text.
pub(crate) fn show(table: &Table) -> String {
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}
