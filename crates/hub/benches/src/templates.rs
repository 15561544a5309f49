//! URI Templates alone: what one takes, and what asking one costs.

use std::hint::black_box;
use std::time::Instant;

use crate::uri_template::UriTemplate;
use crate::{median, process};

const TEMPLATES: usize = 10_000;

/// A template, and a topic that it matches and one that it does not. The last needs a regular expression.
const KINDS: [(&str, &str, &str); 4] = [
    ("users/N/{+any}", "users/N/orders/17", "users/N/or ders"),
    ("https://example.com/books/N/{id}", "https://example.com/books/N/12345", "https://example.com/books/N/1/2"),
    ("https://example.com/books/{id}/N", "https://example.com/books/12345/N", "https://example.com/books/1/2/N"),
    (
        "https://example.com/books/N/{id}{?page}",
        "https://example.com/books/N/12345?page=1",
        "https://example.com/books/N/1/2",
    ),
];

/// Gives the templates: what is let go of would be memory for whatever is measured next.
pub fn matching(rounds: usize) -> Vec<Vec<UriTemplate>> {
    println!("URI Templates alone.\n");
    println!("| template | bytes | ns to match | ns to refuse one that begins alike | ns to refuse another |");
    println!("|---|---:|---:|---:|---:|");
    let mut kept: Vec<Vec<UriTemplate>> = Vec::new();
    for (text, matching, other) in KINDS {
        let compile = |n: usize| {
            let template = UriTemplate::new(&text.replace('N', &n.to_string())).expect("it is small enough");
            template.expect("it is a template")
        };
        let before = process::memory_bytes("self");
        let mut templates = Vec::with_capacity(TEMPLATES);
        templates.extend((0..TEMPLATES).map(compile));
        let bytes = (process::memory_bytes("self") - before) / TEMPLATES as f64;
        let time = |topic: &dyn Fn(usize) -> String, expected: bool| {
            let topics: Vec<String> = (0..TEMPLATES).map(topic).collect();
            let round = || {
                let started = Instant::now();
                let matched =
                    templates.iter().zip(&topics).filter(|(template, topic)| template.matches(black_box(topic)));
                assert_eq!(matched.count(), if expected { TEMPLATES } else { 0 });
                started.elapsed().as_nanos() as f64 / TEMPLATES as f64
            };
            median((0..rounds).map(|_| round()))
        };
        let named = |topic: &'static str| move |n: usize| topic.replace('N', &n.to_string());
        println!(
            "| `{text}` | {bytes:.0} | {:.0} | {:.0} | {:.0} |",
            time(&named(matching), true),
            time(&named(other), false),
            time(&|n| format!("https://example.com/something/else/{n}"), false),
        );
        kept.push(templates);
    }
    kept
}
