//! One document: where it links to, and the anchors that others link to.

use std::collections::{BTreeSet, HashMap};

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

pub(crate) struct Document {
    /// The line and the target.
    pub(crate) links: Vec<(usize, String)>,
    pub(crate) anchors: BTreeSet<String>,
}

impl Document {
    pub(crate) fn parse(text: &str) -> Self {
        let options = Options::ENABLE_TABLES | Options::ENABLE_FOOTNOTES | Options::ENABLE_STRIKETHROUGH;
        let (mut links, mut anchors) = (Vec::new(), BTreeSet::new());
        let mut seen = HashMap::new();
        let mut heading: Option<String> = None;
        let line = |at: usize| text.get(..at).unwrap_or_default().matches('\n').count() + 1;
        // A reference that has no definition is text to the parser, and a broken link to whoever wrote it.
        let mut undefined = Vec::new();
        let mut on_undefined = |link: pulldown_cmark::BrokenLink<'_>| {
            undefined.push((link.span.start, link.reference.into_string()));
            None
        };
        let parser = Parser::new_with_broken_link_callback(text, options, Some(&mut on_undefined));
        for (event, range) in parser.into_offset_iter() {
            match event {
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    links.push((line(range.start), dest_url.into_string()));
                }
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    if let Some(words) = heading.take() {
                        let slug = slug(&words);
                        let count = seen.entry(slug.clone()).or_insert(0_usize);
                        anchors.insert(if *count == 0 { slug } else { format!("{slug}-{count}") });
                        *count += 1;
                    }
                }
                Event::Text(words) | Event::Code(words) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&words);
                    }
                }
                Event::Html(html) | Event::InlineHtml(html) => anchors.extend(ids(&html)),
                _ => {}
            }
        }
        // `[x]` alone is an ordinary pair of brackets; `[x][y]` was meant to be a link.
        let is_meant = |at: &usize| {
            text.get(*at..).is_some_and(|rest| rest.split_once(']').is_some_and(|(_, rest)| rest.starts_with('[')))
        };
        links.extend(
            undefined.into_iter().filter(|(at, _)| is_meant(at)).map(|(at, name)| (line(at), format!("[{name}]"))),
        );
        Self { links, anchors }
    }
}

/// The anchor that GitHub makes of a heading: lower case, without punctuation, a hyphen for each space.
fn slug(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// The ids of elements such as `<a id="tokens">`.
fn ids(html: &str) -> Vec<String> {
    let ids = html.split(" id=\"").skip(1).filter_map(|rest| rest.split_once('"'));
    ids.map(|(id, _)| id.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::{Document, slug};

    #[test]
    fn headings_have_githubs_anchors() {
        let table = [
            ("Five minutes", "five-minutes"),
            ("`fanfare log info|verify|export [DIR]`", "fanfare-log-infoverifyexport-dir"),
            ("What can't be, and _why_", "what-cant-be-and-_why_"),
            ("Größe: 10 KiB", "größe-10-kib"),
        ];
        for (heading, expected) in table {
            assert_eq!(slug(&heading.replace('`', "")), expected);
        }
        let anchors = Document::parse("# A\n## A\n### `b` c\n<a id=\"d\"></a>x\n").anchors;
        assert_eq!(anchors.into_iter().collect::<Vec<_>>(), ["a", "a-1", "b-c", "d"]);
    }

    #[test]
    fn what_looks_like_a_link_in_code_is_none() {
        let text = "[a](b) `[c](d)` ![e](f)\n\n```sh\n[g](h)\n```\n\n[i][j] and [k]\n\n<http://l.example/>";
        let links: Vec<_> = Document::parse(text).links;
        assert_eq!(links, [(1, "b".into()), (1, "f".into()), (9, "http://l.example/".into()), (7, "[j]".into())]);
    }
}
