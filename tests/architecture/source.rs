//! Rust read as text: comments, texts and tests taken out, and the paths that are left.

/// The code of a file without comments, contents of literals, and what is only compiled for tests.
pub fn code(text: &str) -> String {
    without_tests(&without_comments(text))
}

/// Comments become nothing, texts become empty ones.
fn without_comments(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(length) = literal(rest) {
            code.push_str("\"\"");
            length
        } else {
            code.push(first);
            first.len_utf8()
        };
        rest = &rest[skipped..];
    }
    code
}

/// The length of the text or character literal that `rest` begins with.
fn literal(rest: &str) -> Option<usize> {
    if let Some(raw) = rest.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let content = hashes + 2;
            return Some(content + rest[content..].find(&end)? + end.len());
        }
        return None;
    }
    let quote = rest.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    let mut escaped = false;
    for (at, character) in rest.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == quote => return Some(at + 1),
            // A lifetime, not a character.
            _ if quote == '\'' && at > 1 && !rest[1..].starts_with('\\') => return None,
            _ => {}
        }
    }
    None
}

/// Drops each item behind `#[cfg(test)]`, up to its semicolon or closing brace.
fn without_tests(code: &str) -> String {
    let mut kept = String::new();
    let mut rest = code;
    while let Some((before, after)) = rest.split_once("#[cfg(test)]") {
        kept.push_str(before);
        let mut depth = 0;
        let end = after.find(|character| {
            match character {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            depth == 0 && matches!(character, ';' | '}')
        });
        rest = end.map_or("", |end| &after[end + 1..]);
    }
    kept + rest
}

/// Every path that the code of a module names, imports spelt out, `self` and `super` resolved.
pub fn paths(code: &str, module: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = code;
    while let Some(start) = rest.find(is_word) {
        let (path, after) = path(&rest[start..]);
        rest = after;
        if path == "use" {
            let (tree, after) = after.split_once(';').unwrap_or((after, ""));
            expand("", tree, &mut found);
            rest = after;
        } else {
            found.push(path.to_owned());
        }
    }
    found.iter().map(|path| resolve(path, module)).collect()
}

/// What a module hands on under which name (`pub use`).
pub fn handed_on(code: &str, module: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("use ") {
        let before = code[..at].rsplit(['\n', ';', '}']).next().unwrap_or_default().trim();
        if before == "pub" || before.starts_with("pub(") && before.ends_with(')') {
            let tree = code[at + 4..].split(';').next().unwrap_or_default();
            let mut paths = Vec::new();
            expand("", &tree.replace(" as ", "@"), &mut paths);
            found.extend(paths.into_iter().map(|path| {
                let (path, alias) = path.split_once('@').map_or((path.as_str(), None), |(path, it)| (path, Some(it)));
                let name = alias.or_else(|| path.rsplit("::").next()).unwrap_or_default();
                (name.to_owned(), resolve(path, module))
            }));
        }
    }
    found
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// A path like `a::b::c` and what comes after it.
fn path(text: &str) -> (&str, &str) {
    let mut end = 0;
    loop {
        end += text[end..].find(|character| !is_word(character)).unwrap_or(text[end..].len());
        if !(text[end..].starts_with("::") && text[end + 2..].starts_with(is_word)) {
            return text.split_at(end);
        }
        end += 2;
    }
}

/// Spells an import tree out: `a::{b, c::{d, self}}` is `a::b`, `a::c::d` and `a::c`.
fn expand(prefix: &str, tree: &str, found: &mut Vec<String>) {
    let tree = tree.trim().trim_start_matches("::");
    if let Some((stem, branches)) = tree.split_once('{') {
        let branches = branches.trim_end().trim_end_matches('}');
        let stem = format!("{prefix}{}", stem.trim());
        let (mut depth, mut start) = (0, 0);
        for (at, character) in branches.char_indices() {
            match character {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    expand(&stem, &format!("{}{}", &branches[start..at], ""), found);
                    start = at + 1;
                }
                _ => {}
            }
        }
        expand(&stem, &balanced(&branches[start..]), found);
        return;
    }
    let name = tree.split_whitespace().next().unwrap_or_default();
    match name {
        "" => {}
        "self" => found.push(prefix.trim_end_matches("::").to_owned()),
        _ => found.push(format!("{prefix}{name}")),
    }
}

/// Closes the braces that trimming took.
fn balanced(tree: &str) -> String {
    let count = |brace| tree.matches(brace).count();
    format!("{tree}{}", "}".repeat(count('{').saturating_sub(count('}'))))
}

fn resolve(path: &str, module: &str) -> String {
    let mut base: Vec<_> = module.split("::").collect();
    let mut rest = path;
    if let Some(below) = rest.strip_prefix("self::") {
        return format!("{module}::{below}");
    }
    while let Some(below) = rest.strip_prefix("super::") {
        base.pop();
        rest = below;
    }
    if rest.len() == path.len() { path.to_owned() } else { format!("{}::{rest}", base.join("::")) }
}

#[test]
fn comments_texts_and_tests_are_no_code() {
    let text = "//! tokio\nfn a<'a>(b: &'a str) { /* tokio */ c(\"tokio \\\" tokio\", 't', '\\'', r#\"tokio \"\"#); d } // tokio\n\
                #[cfg(test)]\nmod tests { use tokio; fn x() {} }\nfn e() {}\n#[cfg(test)]\nmod tests;\nfn f() {}";
    let code = code(text);
    assert!(!code.contains("tokio"), "{code}");
    assert!(["fn a<'a>", "d }", "fn e", "fn f"].iter().all(|kept| code.contains(kept)), "{code}");
}

#[test]
fn imports_are_spelt_out() {
    let code = "use a::{b, c::{d, self}, super_::e as f};\npub use super::g::{self, H};\nfn x() { crate::i::J::k(super::super::l::m) }";
    let mut paths = paths(code, "crate::one::two");
    paths.retain(|path| path.contains("::"));
    let expected = [
        "a::b",
        "a::c::d",
        "a::c",
        "a::super_::e",
        "crate::one::g",
        "crate::one::g::H",
        "crate::i::J::k",
        "crate::l::m",
    ];
    assert_eq!(paths, expected);
}

#[test]
fn what_is_handed_on_is_found_under_its_name() {
    let code = "use a::b;\npub use c::{D, E as F};\npub(super) use self::g::H;\nfn x() { y }";
    let expected = [("D", "c::D"), ("F", "c::E"), ("H", "crate::m::g::H")];
    assert_eq!(handed_on(code, "crate::m"), expected.map(|(name, path)| (name.to_owned(), path.to_owned())));
}
