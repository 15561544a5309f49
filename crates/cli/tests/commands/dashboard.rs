//! What lies in packaging/ for Prometheus and Grafana names metrics that there are, in expressions that can be read.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::running::{Hub, curl};

fn packaging(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../packaging").join(path)
}

/// The names of series that a hub shows, as expressions use them.
fn series() -> BTreeSet<String> {
    let hub = Hub::start(&["serve", "--memory"]);
    // A status appears with the first answer that has it.
    curl(&["-o", "/dev/null", "-d", "x", &hub.url("/events/a?unknown")]);
    let metrics = curl(&[&hub.url("/metrics")]);
    let names = metrics.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let end = line.find(['{', ' ']).unwrap();
        line[..end].to_owned()
    });
    names.collect()
}

/// The names in an expression that belong to a hub's metrics, and what is not known of them.
fn unknown(expression: &str, series: &BTreeSet<String>) -> Vec<String> {
    let words = expression.split(|one: char| !one.is_ascii_alphanumeric() && one != '_');
    let names = words.filter(|word| word.starts_with("fanfare_") || word.starts_with("process_"));
    names.filter(|name| !series.contains(*name)).map(str::to_owned).collect()
}

/// Every `expr` and `query` in a document, wherever it stands.
fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                match value {
                    Value::String(text) if key == "expr" || key == "query" => found.push(text.clone()),
                    value => expressions(value, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| expressions(value, found)),
        _ => {}
    }
}

/// Has Prometheus' own tool read rules.
fn check_rules(path: &std::path::Path) {
    let output = Command::new("promtool").args(["check", "rules"]).arg(path).output();
    let output = output.expect("promtool is installed by scripts/test");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&[output.stdout, output.stderr].concat()));
}

#[test]
fn every_panel_shows_what_there_is() {
    let text = std::fs::read_to_string(packaging("grafana/fanfare.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let (mut found, series) = (Vec::new(), series());
    expressions(&dashboard, &mut found);
    for expression in &found {
        assert_eq!(unknown(expression, &series), Vec::<String>::new(), "{expression}");
    }
    // Nothing is shown that is not asked for, and the other way round.
    let asked = found.join(" ");
    let bare =
        |name: &str| ["_sum", "_count", "_bucket"].iter().find_map(|end| name.strip_suffix(end)).map(str::to_owned);
    for name in &series {
        let name = bare(name).unwrap_or_else(|| name.clone());
        assert!(asked.contains(&name), "no panel shows {name}");
    }
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "an id is used twice");

    // Promtool reads rules, so each expression becomes one, with what Grafana would put in.
    let mut rules = "groups:\n- name: dashboard\n  rules:\n".to_owned();
    for expression in found.iter().filter(|text| text.contains("fanfare_") || text.contains("process_")) {
        let filled = expression.replace("$__rate_interval", "5m").replace("$job", ".*").replace("$instance", ".*");
        if !filled.starts_with("label_values(") {
            let number = rules.len();
            writeln!(rules, "  - record: expression:{number}\n    expr: '{filled}'").unwrap();
        }
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), rules).unwrap();
    check_rules(file.path());
}

#[test]
fn every_alert_can_be_raised() {
    let path = packaging("prometheus/alerts.yaml");
    check_rules(&path);
    let series = series();
    let text = std::fs::read_to_string(path).unwrap();
    let expressions: Vec<_> = text.lines().filter_map(|line| line.trim().strip_prefix("expr: ")).collect();
    assert!(expressions.len() >= 10, "{expressions:?}");
    for expression in expressions {
        assert_eq!(unknown(expression, &series), Vec::<String>::new(), "{expression}");
    }
}
