//! Reports: one HTML file that needs nothing else. What its parts are is the business of the command that makes it; the
//! frame, the style sheet and the drawing are here.

use std::fmt::Write as _;

pub(crate) mod scale;
pub(crate) mod svg;

use self::svg::escape;

/// The style sheet: system fonts, and every colour twice, for light and dark.
const STYLE: &str = include_str!("style.css");

/// A page under construction.
pub(crate) struct Page(String);

impl Page {
    /// A page with its head: the title of the window, a line above the headline, the headline, and a line below it.
    pub(crate) fn new(title: &str, kicker: &str, headline: &str, lead: &str) -> Self {
        Self(format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
             <p class=\"kicker\">{}</p>\n<h1>{}</h1>\n<p class=\"lead\">{}</p>\n",
            escape(title),
            escape(kicker),
            escape(headline),
            escape(lead),
        ))
    }

    /// Adds HTML.
    pub(crate) fn push(&mut self, html: &str) {
        self.0 += html;
    }

    /// Adds a part with its heading.
    pub(crate) fn section(&mut self, heading: &str, html: &str) {
        let _ = write!(self.0, "<h2>{}</h2>\n{html}", escape(heading));
    }

    /// The whole page.
    pub(crate) fn finish(self) -> String {
        self.0 + "</main>\n</body>\n</html>\n"
    }
}

/// A paragraph below a drawing.
pub(crate) fn note(text: &str) -> String {
    format!("<p class=\"note\">{}</p>\n", escape(text))
}

/// Names and what there is to say of each.
pub(crate) fn facts<'a>(facts: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let mut html = "<dl class=\"facts\">\n".to_owned();
    for (name, value) in facts {
        let _ = writeln!(html, "<dt>{}</dt><dd>{}</dd>", escape(name), escape(&value));
    }
    html + "</dl>\n"
}
