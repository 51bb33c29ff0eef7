//! A picture as SVG text, in light and dark.

use std::fmt::{Display, Write};

const STYLE: &str = "\
text { font: 13px system-ui, sans-serif; fill: #24333b } .name { font-weight: 600 } .small { font-size: 11px }
.code { font: 11px ui-monospace, monospace } .muted { fill: #5a6872 } .title { font-size: 15px; font-weight: 600 }
.ground { fill: #fff } .box { fill: #f4f7f8; stroke: #8fa3ad } .root { fill: #dcebea; stroke: #2a7d74 }
.line { fill: none; stroke: #2a7d74; stroke-width: 1.5 } .grid { stroke: #d9e0e4 } .mark { stroke: #c2410c; stroke-width: 1.5 }
.dot, .bar { fill: #2a7d74 } .area { fill: #9fd0ca } .again { fill: #9fd0ca } .today { fill: #e9c46a } .warn { fill: #c2410c }
@media (prefers-color-scheme: dark) {
text { fill: #dfe7ea } .muted { fill: #a3b1b9 } .ground { fill: #14191c } .box { fill: #1f272c; stroke: #5f727c }
.root { fill: #16383a; stroke: #54b5a9 } .line { stroke: #54b5a9 } .grid { stroke: #313c42 } .mark { stroke: #fb8a5b }
.dot, .bar { fill: #54b5a9 } .area, .again { fill: #25605a } .today { fill: #c79f3c } .warn { fill: #fb8a5b }
}";

/// A picture under construction.
pub struct Picture {
    body: String,
    title: String,
}

impl Picture {
    pub fn new(title: &str) -> Self {
        Self { body: String::new(), title: escaped(title) }
    }

    pub fn rect(&mut self, class: &str, [x, y, width, height]: [i32; 4]) {
        self.add(format_args!(
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"3\"/>"
        ));
    }

    pub fn text(&mut self, class: &str, x: i32, y: i32, text: &str) {
        self.add(format_args!("<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{}</text>", escaped(text)));
    }

    /// Text that ends at `x`.
    pub fn text_before(&mut self, class: &str, x: i32, y: i32, text: &str) {
        self.add(format_args!(
            "<text class=\"{class}\" x=\"{x}\" y=\"{y}\" text-anchor=\"end\">{}</text>",
            escaped(text)
        ));
    }

    /// Text around `x`.
    pub fn text_at(&mut self, class: &str, x: i32, y: i32, text: &str) {
        let text = escaped(text);
        self.add(format_args!("<text class=\"{class}\" x=\"{x}\" y=\"{y}\" text-anchor=\"middle\">{text}</text>"));
    }

    /// A path in SVG's notation.
    pub fn path(&mut self, class: &str, path: &str) {
        self.add(format_args!("<path class=\"{class}\" d=\"{path}\"/>"));
    }

    pub fn dot(&mut self, class: &str, x: i32, y: i32) {
        self.add(format_args!("<circle class=\"{class}\" cx=\"{x}\" cy=\"{y}\" r=\"6\"/>"));
    }

    /// The whole document.
    pub fn finish(self, width: i32, height: i32) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
             role=\"img\">\n<title>{}</title>\n<style>\n{STYLE}\n</style>\n\
             <rect class=\"ground\" width=\"{width}\" height=\"{height}\" rx=\"6\"/>\n{}</svg>\n",
            self.title, self.body,
        )
    }

    fn add(&mut self, element: impl Display) {
        writeln!(self.body, "{element}").unwrap();
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
