//! An identity schema as a graph. Walking a value along it finds what the schema says of each part of the value. Pure.
//!
//! Each part of the schema is in the graph once, however many refer to it. So a schema that refers to itself ends, one whose
//! parts share others costs its own size, and no depth is left out. `referencing` resolves references (`$id`, anchors,
//! escapes), as it does for `jsonschema`. Nothing is fetched: a reference into another document leads nowhere.

use std::collections::{HashMap, HashSet};
use std::error::Error;

use referencing::{Draft, Registry, Resolver, ResourceRef, Retrieve, Uri, uri};
use serde_json::{Map, Value, json};

/// What Kratos is told of a value, in a part of the schema.
pub(super) const EXTENSION: &str = "ory.sh/kratos";

/// A schema's parts. The first is the whole schema.
#[derive(Debug)]
pub struct Shape {
    parts: Vec<Part>,
    is_cut: bool,
}

#[derive(Debug, Default)]
struct Part {
    /// What Kratos is told of the values that it speaks of.
    extension: Option<Value>,
    /// Parts that speak of the same values.
    also: Vec<usize>,
    /// Parts that speak of an object's members.
    members: HashMap<String, usize>,
    /// The part that speaks of an array's elements.
    items: Option<usize>,
    /// What `type` lets the value be.
    types: Vec<String>,
}

impl Shape {
    pub fn of(schema: &Value) -> Self {
        let draft = Draft::default().detect(schema);
        let registry = Registry::new().retriever(Nothing).retrieve_known_draft_meta_schemas(false);
        // Where the schema's own ids can't be read no reference is followed.
        let registry = registry.add("", schema).and_then(referencing::RegistryBuilder::prepare).ok();
        let resolver = registry.as_ref().zip(uri::from_str("").ok()).map(|(registry, root)| registry.resolver(root));
        let mut builder = Builder { draft, parts: Vec::new(), known: HashMap::new(), open: Vec::new(), is_cut: false };
        builder.below(schema, resolver.as_ref());
        while let Some((at, part, resolver)) = builder.open.pop() {
            builder.read(at, part, resolver.as_ref());
        }
        Self { parts: builder.parts, is_cut: builder.is_cut }
    }

    /// Whether references lead out of what is known here: the schema may say more than this shows.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Shows each value of the traits together with what Kratos is told of it.
    pub fn visit<'v>(&self, traits: &'v Value, seen: &mut dyn FnMut(&Value, &'v Value)) {
        self.walk(&self.traits(), traits, seen);
    }

    /// Puts an empty object wherever the traits have a null, and the schema wants an object and takes no null. Server-side apply
    /// makes a null of an object whose last key left the manifest.
    pub fn without_emptied_objects(&self, traits: &mut Map<String, Value>) {
        let mut open: Vec<_> =
            traits.iter_mut().map(|(key, value)| (self.members(&self.traits(), key), value)).collect();
        while let Some((here, value)) = open.pop() {
            match value {
                Value::Null if self.takes(&here, "object") && !self.takes(&here, "null") => *value = json!({}),
                Value::Object(members) => {
                    open.extend(members.iter_mut().map(|(key, value)| (self.members(&here, key), value)));
                }
                _ => {}
            }
        }
    }

    /// Whether some part names this type.
    fn takes(&self, here: &[usize], name: &str) -> bool {
        here.iter().any(|part| self.parts[*part].types.iter().any(|known| known == name))
    }

    /// How many of these keys, from the first one on, lead to members of the traits that the schema names.
    pub fn named(&self, keys: &[String]) -> usize {
        let mut here = self.traits();
        for (depth, key) in keys.iter().enumerate() {
            here = self.members(&here, key);
            if here.is_empty() {
                return depth;
            }
        }
        keys.len()
    }

    /// All parts that speak of the traits.
    fn traits(&self) -> Vec<usize> {
        self.members(&self.closed([0]), "traits")
    }

    /// All parts that speak of a member of what these speak of.
    fn members(&self, here: &[usize], key: &str) -> Vec<usize> {
        self.closed(here.iter().filter_map(|part| self.parts[*part].members.get(key).copied()))
    }

    /// `here`: all parts that speak of the value.
    fn walk<'v>(&self, here: &[usize], value: &'v Value, seen: &mut dyn FnMut(&Value, &'v Value)) {
        for extension in here.iter().filter_map(|part| self.parts[*part].extension.as_ref()) {
            seen(extension, value);
        }
        match value {
            Value::Array(items) => {
                let below = self.closed(here.iter().filter_map(|part| self.parts[*part].items));
                if !below.is_empty() {
                    for item in items {
                        self.walk(&below, item, seen);
                    }
                }
            }
            Value::Object(members) => {
                for (key, member) in members {
                    let below = self.members(here, key);
                    if !below.is_empty() {
                        self.walk(&below, member, seen);
                    }
                }
            }
            _ => {}
        }
    }

    /// These parts and all that speak of the same values, each once.
    fn closed(&self, parts: impl IntoIterator<Item = usize>) -> Vec<usize> {
        let mut open: Vec<usize> = parts.into_iter().collect();
        let (mut known, mut closed) = (HashSet::new(), Vec::new());
        while let Some(part) = open.pop() {
            if known.insert(part) {
                closed.push(part);
                open.extend(&self.parts[part].also);
            }
        }
        closed
    }
}

struct Builder<'s> {
    draft: Draft,
    parts: Vec<Part>,
    /// Which part each place of the schema became.
    known: HashMap<*const Value, usize>,
    /// Parts that are still to be read, with what resolves the references in them.
    open: Vec<(usize, &'s Value, Option<Resolver<'s>>)>,
    is_cut: bool,
}

impl<'s> Builder<'s> {
    /// The part that stands at a place of the schema.
    fn part(&mut self, schema: &'s Value, resolver: Option<Resolver<'s>>) -> usize {
        let next = self.parts.len();
        let at = *self.known.entry(schema).or_insert(next);
        if at == next {
            self.parts.push(Part::default());
            self.open.push((at, schema, resolver));
        }
        at
    }

    /// The part that stands in another one, whose ids its own counts from.
    fn below(&mut self, schema: &'s Value, resolver: Option<&Resolver<'s>>) -> usize {
        let resolver = resolver.and_then(|resolver| resolver.in_subresource(ResourceRef::new(schema, self.draft)).ok());
        self.part(schema, resolver)
    }

    fn read(&mut self, at: usize, schema: &'s Value, resolver: Option<&Resolver<'s>>) {
        let mut also = Vec::new();
        if let Some(reference) = schema.get("$ref") {
            let found = resolver.zip(reference.as_str()).and_then(|(resolver, to)| resolver.lookup(to).ok());
            match found.map(referencing::Resolved::into_inner) {
                Some((target, resolver, _)) => also.push(self.part(target, Some(resolver))),
                None => self.is_cut = true,
            }
        }
        // Where these lead depends on how one came here.
        self.is_cut |= ["$dynamicRef", "$recursiveRef"].iter().any(|keyword| schema.get(keyword).is_some());
        for keyword in ["allOf", "anyOf", "oneOf"] {
            let branches = schema.get(keyword).and_then(Value::as_array);
            also.extend(branches.into_iter().flatten().map(|branch| self.below(branch, resolver)));
        }
        let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
        let members = properties.map(|(key, property)| (key.clone(), self.below(property, resolver))).collect();
        let items = schema.get("items").map(|items| self.below(items, resolver));
        let types = match schema.get("type") {
            Some(Value::Array(types)) => types.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            one => one.and_then(Value::as_str).map(str::to_owned).into_iter().collect(),
        };
        self.parts[at] = Part { extension: schema.get(EXTENSION).cloned(), also, members, items, types };
    }
}

/// Stands for every other document: there is nothing in it.
struct Nothing;

impl Retrieve for Nothing {
    fn retrieve(&self, _: &Uri<String>) -> Result<Value, Box<dyn Error + Send + Sync>> {
        Ok(json!({}))
    }
}

#[cfg(test)]
mod tests;
