//! Reads what generated sources say of messages: numbers, names and types, as prost's attributes have them.
use std::collections::BTreeMap;
use std::path::Path;

use quote::ToTokens;
use syn::{Attribute, Expr, Fields, GenericArgument, ImplItem, Item, Lit, Meta, PathArguments, Type};

/// The sources of packages.
#[derive(Default)]
pub(crate) struct Sources {
    /// What is said of each message, by its path, such as `kvrpcpb::GetRequest`.
    pub(crate) messages: BTreeMap<String, String>,
    /// By message and number; those of a `oneof` too.
    pub(crate) fields: BTreeMap<(String, u32), Field>,
    /// The values of enumerations, by enumeration and number.
    pub(crate) values: BTreeMap<(String, i32), Value>,
    /// What is said of each enumeration.
    pub(crate) enumerations: BTreeMap<String, String>,
    /// The signature of each call, by its path on the wire.
    pub(crate) calls: BTreeMap<String, String>,
    /// The members of each `oneof`.
    oneofs: BTreeMap<String, Vec<(u32, Field)>>,
    /// Where a `oneof` is in which message.
    places: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Field {
    /// Without case and underscores, as a member of a `oneof` has another.
    pub(crate) name: String,
    /// As the wire has it, with the name of the message or enumeration.
    pub(crate) kind: String,
    pub(crate) comment: String,
}

#[derive(Clone, Debug)]
pub(crate) struct Value {
    pub(crate) name: String,
    pub(crate) comment: String,
}

impl Sources {
    /// Reads the packages, each a file.
    pub(crate) fn read(folder: &Path, packages: &[&str]) -> Self {
        let mut sources = Self::default();
        for package in packages {
            let path = folder.join(format!("{package}.rs"));
            let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            sources.items(&syn::parse_file(&text).unwrap().items, &[(*package).to_owned()]);
        }
        for (message, oneof) in std::mem::take(&mut sources.places) {
            for (number, field) in &sources.oneofs[&oneof] {
                sources.fields.insert((message.clone(), *number), field.clone());
            }
        }
        sources
    }

    fn items(&mut self, items: &[Item], module: &[String]) {
        for item in items {
            match item {
                Item::Mod(inner) => {
                    let path: Vec<String> = module.iter().cloned().chain([inner.ident.to_string()]).collect();
                    self.items(inner.content.as_ref().map_or(&[], |(_, items)| items), &path);
                }
                Item::Struct(message) if derives(&message.attrs, "Message") => {
                    let path = format!("{}::{}", module.join("::"), message.ident);
                    for field in &message.fields {
                        self.field(&path, module, field);
                    }
                    self.messages.insert(path, comment(&message.attrs));
                }
                Item::Enum(oneof) if derives(&oneof.attrs, "Oneof") => {
                    let members = oneof.variants.iter().map(|variant| {
                        let Fields::Unnamed(fields) = &variant.fields else { panic!("a member has a value") };
                        field(&variant.ident.to_string(), &variant.attrs, &fields.unnamed[0].ty, module)
                    });
                    self.oneofs.insert(format!("{}::{}", module.join("::"), oneof.ident), members.collect());
                }
                Item::Enum(enumeration) if derives(&enumeration.attrs, "Enumeration") => {
                    let path = format!("{}::{}", module.join("::"), enumeration.ident);
                    for variant in &enumeration.variants {
                        let (_, Expr::Lit(number)) = variant.discriminant.as_ref().unwrap() else { panic!("a number") };
                        let Lit::Int(number) = &number.lit else { panic!("a number") };
                        let value = Value { name: variant.ident.to_string(), comment: comment(&variant.attrs) };
                        self.values.insert((path.clone(), number.base10_parse().unwrap()), value);
                    }
                    self.enumerations.insert(path, comment(&enumeration.attrs));
                }
                Item::Impl(stub) if module.last().unwrap().ends_with("_client") => {
                    for function in &stub.items {
                        let ImplItem::Fn(function) = function else { continue };
                        let body = without_spaces(&function.block);
                        let Some((_, rest)) = body.split_once("PathAndQuery::from_static(\"") else { continue };
                        let path = rest.split('"').next().unwrap().to_owned();
                        self.calls.insert(path, without_spaces(&function.sig));
                    }
                }
                _ => {}
            }
        }
    }

    fn field(&mut self, message: &str, module: &[String], found: &syn::Field) {
        let name = found.ident.as_ref().unwrap().to_string();
        if name == "unknown_fields" {
            return;
        }
        if let Some((_, oneof)) = attributes(&found.attrs).into_iter().find(|(key, _)| key == "oneof") {
            self.places.push((message.to_owned(), absolute(&oneof, module)));
        } else {
            let (number, field) = field(&name, &found.attrs, &found.ty, module);
            self.fields.insert((message.to_owned(), number), field);
        }
    }
}

fn field(name: &str, attrs: &[Attribute], kind: &Type, module: &[String]) -> (u32, Field) {
    let mut number = None;
    let mut words = Vec::new();
    for (key, value) in attributes(attrs) {
        match key.as_str() {
            "tag" => number = Some(value.parse().unwrap()),
            "enumeration" => words.push(format!("enumeration {}", absolute(&value, module))),
            "map" => words.push(format!("map {value}")),
            // Only how it is kept in memory.
            "optional" | "bytes" | "boxed" if key != "bytes" => {}
            _ => words.push(key),
        }
    }
    words.extend(innermost(kind).filter(|path| !path.starts_with("::")).and_then(|path| {
        let is_message = words.iter().any(|word| word == "message" || word.ends_with("message"));
        is_message.then(|| absolute(&path, module))
    }));
    let name = name.trim_start_matches("r#").replace('_', "").to_lowercase();
    (number.unwrap(), Field { name, kind: words.join(" "), comment: comment(attrs) })
}

/// The keys and values of prost's attribute.
fn attributes(attrs: &[Attribute]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for attribute in attrs.iter().filter(|attribute| attribute.path().is_ident("prost")) {
        attribute
            .parse_nested_meta(|meta| {
                let value = match meta.value() {
                    Ok(value) => value.parse::<syn::LitStr>()?.value(),
                    Err(_) => String::new(),
                };
                found.push((meta.path.get_ident().unwrap().to_string(), value));
                Ok(())
            })
            .unwrap();
    }
    found
}

/// The last argument of the last argument and so on of a type: what a vector or a map holds.
fn innermost(kind: &Type) -> Option<String> {
    let Type::Path(kind) = kind else { return None };
    match &kind.path.segments.last()?.arguments {
        PathArguments::AngleBracketed(arguments) => match arguments.args.last()? {
            GenericArgument::Type(kind) => innermost(kind),
            _ => None,
        },
        _ => Some(without_spaces(&kind.path)),
    }
}

/// The path from the root of a path that is relative to a module.
fn absolute(path: &str, module: &[String]) -> String {
    let mut module = module.to_vec();
    let mut path = path;
    while let Some(rest) = path.strip_prefix("super::") {
        module.pop();
        path = rest;
    }
    module.push(path.to_owned());
    module.join("::")
}

fn derives(attrs: &[Attribute], name: &str) -> bool {
    attrs.iter().any(|attribute| {
        attribute.path().is_ident("derive") && without_spaces(&attribute.meta).contains(&format!("::prost::{name}"))
    })
}

fn comment(attrs: &[Attribute]) -> String {
    let lines = attrs.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(doc) if doc.path.is_ident("doc") => Some(without_spaces(&doc.value)),
        _ => None,
    });
    lines.collect::<Vec<_>>().join(" ")
}

fn without_spaces(tokens: &impl ToTokens) -> String {
    tokens.to_token_stream().to_string().replace(' ', "")
}
