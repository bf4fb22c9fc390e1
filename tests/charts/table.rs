//! Tables of values, out of the comments in `values.yaml` and of the descriptions in a schema. Pure.

use serde_json::Value;

/// A value that is described: its path, and the comment above it.
#[derive(Debug)]
struct Described {
    path: Vec<String>,
    text: String,
}

/// One row for each value with a comment above it that isn't a group of others. A value without one, and without one above it,
/// is an error.
pub fn of_values(text: &str) -> Result<String, String> {
    let values: Value = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    let described = described(text);
    let is_group = |path: &[String]| described.iter().any(|it| it.path.len() > path.len() && it.path.starts_with(path));
    let covered = |path: &[String]| described.iter().any(|it| path.starts_with(&it.path) && !is_group(&it.path));
    if let Some(path) = leaves(&values, &mut Vec::new()).into_iter().find(|path| !covered(path)) {
        return Err(format!("{} has no comment above it", path.join(".")));
    }
    let rows = described.iter().filter(|it| !is_group(&it.path)).map(|Described { path, text }| {
        let default = path.iter().fold(&values, |value, name| &value[name.as_str()]);
        row(&[&format!("`{}`", path.join(".")), &format!("`{default}`"), text])
    });
    Ok(table(&["value", "default", "what it is"], rows))
}

/// One row for each member of a schema, and of its members.
pub fn of_schema(schema: &Value) -> String {
    let mut rows = Vec::new();
    members(schema, "spec", &mut rows);
    table(&["field", "type", "what it is"], rows.into_iter())
}

fn members(schema: &Value, path: &str, rows: &mut Vec<String>) {
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        let kind = inner["type"].as_str().unwrap_or("any");
        let words =
            inner["enum"].as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(", ");
        let kind = if words.is_empty() { kind.to_owned() } else { words };
        let text = inner["description"].as_str().unwrap_or_default();
        rows.push(row(&[&format!("`{path}`"), &kind, text]));
        members(inner, &path, rows);
        members(&inner["items"], &format!("{path}[]"), rows);
    }
}

fn table(head: &[&str], rows: impl Iterator<Item = String>) -> String {
    let line = "|---".repeat(head.len());
    std::iter::once(row(head)).chain([format!("{line}|\n")]).chain(rows).collect()
}

fn row(cells: &[&str]) -> String {
    let cells = cells.iter().map(|cell| cell.replace('|', "\\|").split_whitespace().collect::<Vec<_>>().join(" "));
    format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
}

/// The keys that have a comment directly above them.
fn described(text: &str) -> Vec<Described> {
    let (mut found, mut path, mut comment) = (Vec::new(), Vec::<String>::new(), Vec::new());
    for line in text.lines() {
        let trimmed = line.trim_start();
        let depth = (line.len() - trimmed.len()) / 2;
        if let Some(words) = trimmed.strip_prefix("# ") {
            comment.push(words);
            continue;
        }
        let key = trimmed.split_once(':').map(|(key, _)| key).filter(|key| key.chars().all(char::is_alphanumeric));
        if let Some(key) = key.filter(|key| !key.is_empty()) {
            path.truncate(depth);
            path.push(key.to_owned());
            if !comment.is_empty() {
                found.push(Described { path: path.clone(), text: comment.join(" ") });
            }
        }
        comment.clear();
    }
    found
}

/// The paths of all that isn't a map with something in it.
fn leaves(value: &Value, path: &mut Vec<String>) -> Vec<Vec<String>> {
    let Some(members) = value.as_object().filter(|members| !members.is_empty()) else { return vec![path.clone()] };
    let mut found = Vec::new();
    for (name, inner) in members {
        path.push(name.clone());
        found.extend(leaves(inner, path));
        path.pop();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_describes_the_value_below_it() {
        let text = "# Not of a value.\n\n# A | b.\na: 1\ngroup:\n  # Two\n  # lines.\n  b: {c: x}\n# Of all of it.\nall:\n  d: 1\n";
        let rows = of_values(text).expect("each is described");
        let expected = "| value | default | what it is |\n|---|---|---|\n| `a` | `1` | A \\| b. |\n\
                        | `group.b` | `{\"c\":\"x\"}` | Two lines. |\n| `all` | `{\"d\":1}` | Of all of it. |\n";
        assert_eq!(rows, expected);
    }

    #[test]
    fn a_value_without_a_comment_is_noticed() {
        let error = of_values("# A.\na: 1\nb:\n  # C.\n  c: 1\n  d: 2\n").expect_err("d has none");
        assert!(error.starts_with("b.d "), "{error}");
    }
}
