//! The forms of a page: HTML for browsers, JSON for programs, text for a terminal.

use std::fmt::Write;

use hyper::StatusCode;
use serde_json::json;

use super::Page;

/// The one page there is; its places are filled in by name.
const TEMPLATE: &str = include_str!("../../../templates/pages/error.html");

/// The form in which a client wants to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accept {
    /// A browser.
    Html,
    /// A program.
    Json,
    /// curl, and whoever does not say.
    Text,
}

impl Accept {
    /// By `Accept`, where what is named first is liked best: nobody weighs these three against each other by `q`.
    pub(super) fn of(accept: Option<&[u8]>) -> Self {
        let Some(accept) = accept.and_then(|value| std::str::from_utf8(value).ok()) else {
            return Accept::Text;
        };
        let html = accept.find("text/html");
        let json = accept.find("application/json").or(accept.find("+json"));
        match (html, json) {
            (Some(html), Some(json)) if json < html => Accept::Json,
            (Some(_), _) => Accept::Html,
            (None, Some(_)) => Accept::Json,
            (None, None) => Accept::Text,
        }
    }
}

impl Page {
    pub(super) fn html(&self) -> String {
        let mut rows = String::new();
        for row in &self.rows {
            let _ = write!(
                rows,
                "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td></tr>",
                escape(&row.name),
                escape(&row.state),
                escape(&row.why)
            );
        }
        let mut lines = String::new();
        for row in self.rows.iter().filter(|row| !row.lines.is_empty()) {
            let name = escape(&row.name);
            let _ = write!(lines, "<h3>{name}</h3><pre>");
            for line in &row.lines {
                let _ = write!(lines, "<span>{}</span>", escape(line));
            }
            lines.push_str("</pre>");
        }
        let list = |items: &[String], tag: &str| {
            items.iter().fold(String::new(), |mut list, item| {
                let _ = write!(list, "<li><{tag}>{}</{tag}></li>", escape(item));
                list
            })
        };
        let section = |heading: &str, inside: String| match inside.is_empty() {
            true => String::new(),
            false => format!("<h2>{heading}</h2>{inside}"),
        };
        let wrap = |tag: &str, inside: String| match inside.is_empty() {
            true => inside,
            false => format!("<{tag}>{inside}</{tag}>"),
        };
        let table = match self.status {
            StatusCode::NOT_FOUND => "Routes",
            _ => "Backends",
        };
        // Filled in one pass over the template: no value can bring a place of its own.
        let mut page = String::with_capacity(TEMPLATE.len() + 1024);
        let mut rest = TEMPLATE;
        while let Some((before, after)) = rest.split_once("{{") {
            page.push_str(before);
            let (name, after) = after.split_once("}}").unwrap_or((after, ""));
            page.push_str(&match name {
                "status" => self.status.as_u16().to_string(),
                "title" => escape(&self.title.replace('`', "")),
                "said" => prose(&self.said),
                "heading" => prose(&self.title),
                "rows" => section(table, wrap("table", rows.clone())),
                "lines" => section("Last log lines", lines.clone()),
                "tried" => section("Tried", wrap("ol", list(&self.tried, "span"))),
                "next" => section("Type next", wrap("ul", list(&self.next, "code"))),
                _ => String::new(),
            });
            rest = after;
        }
        page.push_str(rest);
        page
    }

    pub(super) fn json(&self) -> String {
        let rows: Vec<_> = self
            .rows
            .iter()
            .map(|row| match self.status {
                StatusCode::NOT_FOUND => json!({"service": row.name, "routes": row.state}),
                _ => json!({
                    "id": row.name,
                    "state": row.state,
                    "why": row.why,
                    "last_lines": row.lines,
                }),
            })
            .collect();
        let key = match self.status {
            StatusCode::NOT_FOUND => "services",
            _ => "backends",
        };
        let mut document = json!({
            "version": crate::wire::VERSION,
            "status": self.status.as_u16(),
            "error": {"message": self.said, "hint": self.next.first()},
            "tried": self.tried,
        });
        document[key] = rows.into();
        format!("{document}\n")
    }

    pub(super) fn text(&self) -> String {
        let mut text = format!("{} {}\n{}\n", self.status.as_u16(), self.title, self.said);
        for row in &self.rows {
            let line = format!("  {}  {}  {}", row.name, row.state, row.why);
            let _ = writeln!(text, "{}", line.trim_end());
            for line in &row.lines {
                let _ = writeln!(text, "    | {line}");
            }
        }
        for tried in &self.tried {
            let _ = writeln!(text, "tried: {tried}");
        }
        for next in &self.next {
            let _ = writeln!(text, "next: {next}");
        }
        text
    }
}

/// A sentence as HTML: what stands between backticks is set as code.
fn prose(text: &str) -> String {
    let mut html = String::new();
    for (place, part) in text.split('`').enumerate() {
        match place % 2 {
            0 => html.push_str(&escape(part)),
            _ => {
                let _ = write!(html, "<code>{}</code>", escape(part));
            }
        }
    }
    html
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::super::Row;
    use super::*;

    #[test]
    fn accept() {
        for (value, expected) in [
            ("*/*", Accept::Text),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Accept::Html),
            ("application/json, text/plain, */*", Accept::Json),
            ("application/json, text/html", Accept::Json),
            ("text/html, application/json", Accept::Html),
            ("application/problem+json", Accept::Json),
        ] {
            assert_eq!(Accept::of(Some(value.as_bytes())), expected, "{value}");
        }
        assert_eq!(Accept::of(None), Accept::Text);
    }

    #[test]
    fn values_are_escaped_and_bring_no_places() {
        let mut page = Page::new(StatusCode::NOT_FOUND, "t", "<script>{{rows}}</script>");
        page.rows.push(Row {
            name: "a\"b".into(),
            state: "{{next}}".into(),
            why: "x & y".into(),
            lines: vec!["<b>{{said}}</b>".into(), "  at 'x'".into()],
            ..Row::default()
        });
        page.next.push("lbdev start all".into());
        let html = page.html();
        assert!(html.contains("&lt;script&gt;{{rows}}&lt;/script&gt;"));
        assert!(
            html.contains("a&quot;b") && html.contains("x &amp; y") && html.contains("{{next}}")
        );
        assert!(!html.contains("<script"));
        let lines = "<span>&lt;b&gt;{{said}}&lt;/b&gt;</span><span>  at &#39;x&#39;</span></pre>";
        assert!(html.contains(lines), "{html}");
        assert_eq!(html.matches("<code>lbdev start all</code>").count(), 1);
    }

    #[test]
    fn json_is_json_and_text_has_no_empty_tail() {
        let mut page = Page::new(StatusCode::BAD_GATEWAY, "t", "`web:8000` \"fell\"");
        page.rows.push(Row {
            name: "web:8000".into(),
            state: "up".into(),
            lines: vec!["boom \"x\"".into()],
            ..Row::default()
        });
        let value: serde_json::Value = serde_json::from_str(&page.json()).unwrap();
        assert_eq!(value["backends"][0]["state"], "up");
        assert_eq!(value["backends"][0]["last_lines"][0], "boom \"x\"");
        assert_eq!(
            page.text(),
            "502 t\n`web:8000` \"fell\"\n  web:8000  up\n    | boom \"x\"\n"
        );
    }
}
