//! SVG as text: just the elements that the drawings need, escaped. Colours come from the page's style sheet by class,
//! so that the same drawing is right in light and dark.

use std::fmt::Write as _;

/// A drawing under construction.
pub(crate) struct Svg {
    text: String,
}

/// Where a text stands in relation to its point.
#[derive(Clone, Copy)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

impl Svg {
    /// An empty drawing of this size; `label` is what it is called for those who cannot see it.
    pub(crate) fn new(width: f64, height: f64, label: &str) -> Self {
        let text =
            format!("<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\">\n", escape(label));
        Self { text }
    }

    /// A straight line.
    pub(crate) fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let _ = writeln!(
            self.text,
            "<line class=\"{class}\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>",
            from.0, from.1, to.0, to.1
        );
    }

    /// A line through several points.
    pub(crate) fn path(&mut self, class: &str, points: &[(f64, f64)]) {
        let Some((first, rest)) = points.split_first() else { return };
        let mut path = format!("M{:.1} {:.1}", first.0, first.1);
        for (x, y) in rest {
            let _ = write!(path, "L{x:.1} {y:.1}");
        }
        let _ = writeln!(self.text, "<path class=\"{class}\" d=\"{path}\"/>");
    }

    /// A dot that tells `title` to whoever points at it.
    pub(crate) fn dot(&mut self, class: &str, at: (f64, f64), title: &str) {
        let _ = writeln!(
            self.text,
            "<circle class=\"{class}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\"><title>{}</title></circle>",
            at.0,
            at.1,
            escape(title)
        );
    }

    /// A rectangle that tells `title` to whoever points at it.
    pub(crate) fn rectangle(&mut self, class: &str, at: (f64, f64), size: (f64, f64), title: &str) {
        let _ = writeln!(
            self.text,
            "<rect class=\"{class}\" x=\"{:.2}\" y=\"{:.1}\" width=\"{:.2}\" height=\"{:.1}\"><title>{}</title></rect>",
            at.0,
            at.1,
            size.0,
            size.1,
            escape(title)
        );
    }

    /// A line of text.
    pub(crate) fn text(&mut self, class: &str, at: (f64, f64), anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let _ = writeln!(
            self.text,
            "<text class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
            at.0,
            at.1,
            escape(text)
        );
    }

    /// The finished drawing.
    pub(crate) fn finish(mut self) -> String {
        self.text += "</svg>\n";
        self.text
    }
}

/// Text that can stand in HTML, between tags and in attributes.
pub(crate) fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut escaped, char| {
        match char {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            _ => escaped.push(char),
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_text_cannot_become_markup() {
        assert_eq!(escape("<a b=\"c\">&'"), "&lt;a b=&quot;c&quot;&gt;&amp;&#39;");
        let mut svg = Svg::new(10.0, 10.0, "\"label\"");
        svg.text("axis", (0.0, 0.0), Anchor::Middle, "<script>");
        svg.dot("dot", (1.0, 1.0), "a & b");
        let text = svg.finish();
        assert!(!text.contains("<script>") && text.contains("a &amp; b"), "{text}");
        assert!(text.contains("aria-label=\"&quot;label&quot;\""), "{text}");
    }
}
