//! What a page has in every language: its headings, blocks of code, tables, links and pieces of code in the text.

use std::collections::BTreeSet;

/// The shape of a Markdown page: all that a translation must not change.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// The level of each heading.
    pub headings: Vec<usize>,
    /// Each fenced block, fences included.
    pub code: Vec<String>,
    /// The number of cells in each row of each table.
    pub tables: Vec<Vec<usize>>,
    /// The code spans outside of blocks.
    pub spans: BTreeSet<String>,
    /// Where links and pictures lead.
    pub links: BTreeSet<String>,
}

impl Shape {
    /// Reads a page.
    #[must_use]
    pub fn of(page: &str) -> Self {
        let mut shape = Self::default();
        let mut lines = page.lines();
        let mut text = String::new();
        let mut in_table = false;
        while let Some(line) = lines.next() {
            if line.starts_with("```") {
                let rest = lines.by_ref().take_while(|line| *line != "```");
                let block: Vec<&str> = std::iter::once(line).chain(rest).collect();
                shape.code.push(block.join("\n"));
                continue;
            }
            let level = line.chars().take_while(|c| *c == '#').count();
            if level > 0 {
                shape.headings.push(level);
            }
            let is_row = line.starts_with('|');
            if is_row && !in_table {
                shape.tables.push(Vec::new());
            }
            if let Some(table) = shape.tables.last_mut().filter(|_| is_row) {
                table.push(line.replace("\\|", "").matches('|').count() - 1);
            }
            in_table = is_row;
            text.push_str(line);
            text.push('\n');
        }
        // A span may go over the end of a line.
        shape.spans = code_spans(&text).into_iter().map(|span| span.replace('\n', " ")).collect();
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        shape.links = targets.map(|(target, _)| target.to_owned()).collect();
        shape
    }

    /// In what the translation `other` differs, one line for each.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut found = Vec::new();
        if self.headings != other.headings {
            found.push(format!("levels of headings: {:?} and {:?}", self.headings, other.headings));
        }
        if self.tables != other.tables {
            found.push(format!("cells of tables: {:?} and {:?}", self.tables, other.tables));
        }
        if self.code.len() != other.code.len() {
            found.push(format!("blocks of code: {} and {}", self.code.len(), other.code.len()));
        }
        let blocks = self.code.iter().zip(&other.code).filter(|(one, other)| one != other);
        found.extend(blocks.map(|(one, other)| format!("blocks of code:\n{one}\nand\n{other}")));
        for (what, one, other) in [("code", &self.spans, &other.spans), ("link", &self.links, &other.links)] {
            found.extend(
                one.difference(other).map(|only| format!("{what} `{only}` is missing in the translation")),
            );
            found.extend(
                other.difference(one).map(|only| format!("{what} `{only}` stands only in the translation")),
            );
        }
        found
    }
}

/// The code spans of a text that has no fenced blocks.
#[must_use]
pub fn code_spans(text: &str) -> Vec<String> {
    let mut spans = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find('`') {
        let from = &rest[start..];
        let ticks = from.chars().take_while(|c| *c == '`').count();
        let (fence, after) = from.split_at(ticks);
        let Some(end) = after.find(fence) else { break };
        spans.push(after[..end].to_owned());
        rest = &after[end + ticks..];
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# A\n\ntext `one\ntwo` [b](c.md)\n\n| a | b |\n|---|---|\n| `x \\| y` | 2 |\n\n```sh\n# no heading `no span`\n```\n\n## B\n";

    #[test]
    fn the_shape_is_read() {
        let shape = Shape::of(PAGE);
        assert_eq!(shape.headings, [1, 2]);
        assert_eq!(shape.code, ["```sh\n# no heading `no span`"]);
        assert_eq!(shape.tables, [[2, 2, 2]]);
        assert_eq!(shape.spans, BTreeSet::from(["one two", "x \\| y"].map(String::from)));
        assert_eq!(shape.links, BTreeSet::from(["c.md".to_owned()]));
    }

    #[test]
    fn a_translation_may_differ_in_words_only() {
        let shape = Shape::of(PAGE);
        assert_eq!(shape.differences(&Shape::of(&PAGE.replace("text", "正文"))), Vec::<String>::new());
        for (from, to) in [
            ("## B", "### B"),
            ("no heading", "ein"),
            ("| 2 |", "| 2 | 3 |"),
            ("`one", "`on"),
            ("c.md", "d.md"),
        ] {
            assert!(!shape.differences(&Shape::of(&PAGE.replace(from, to))).is_empty(), "{from} {to}");
        }
    }
}
