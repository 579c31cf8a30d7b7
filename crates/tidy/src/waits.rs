//! Every public function of a crate, and whether its documentation says that it waits.
//!
//! Sources are parsed by `syn`, `pub use` is followed from crate to crate, and what users cannot name is left out. Macros are
//! not expanded.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use syn::parse::{Parse, ParseStream};
use syn::{Attribute, Expr, ExprLit, ImplItem, ImplItemFn, Item, Lit, Meta, TraitItem, UseTree, Visibility};

/// Where an item is defined: the crate, its modules, its name.
type Id = Vec<String>;

/// Who may name something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Everywhere,
    /// In the crate; or in a part of it, which makes no difference here.
    InCrate,
    /// In its module, and what is in that.
    InModule,
}

impl Seen {
    fn of(visibility: &Visibility) -> Self {
        match visibility {
            Visibility::Public(_) => Self::Everywhere,
            Visibility::Restricted(_) => Self::InCrate,
            Visibility::Inherited => Self::InModule,
        }
    }

    /// Whether something of `module` is seen from `origin`.
    fn from(self, module: &[String], origin: &[String]) -> bool {
        match self {
            Self::Everywhere => true,
            Self::InCrate => origin[0] == module[0],
            Self::InModule => origin.starts_with(module),
        }
    }
}

/// A module, as far as names are concerned.
#[derive(Debug, Default)]
struct Module {
    /// Its own items, public or not, by name.
    items: BTreeMap<String, Named>,
    /// What it uses: name here, path.
    uses: Vec<(Seen, String, Vec<String>)>,
    /// Modules in it.
    children: Vec<(Seen, String)>,
}

#[derive(Debug)]
struct Named {
    seen: Seen,
    /// `None` for a type; of a function or a macro, whether it waits.
    waits: Option<bool>,
}

/// The functions of one type, or of one module.
pub type Functions = BTreeMap<String, bool>;

/// Crates that were read.
#[derive(Debug, Default)]
pub struct Crates {
    modules: BTreeMap<Id, Module>,
    /// Methods by the module of the `impl`, and what that calls the type.
    methods: Vec<(Id, Vec<String>, String, bool)>,
}

/// What a name leads to.
enum Target {
    Item(Id),
    Module(Id),
}

impl Crates {
    /// Reads the crate `name` (as paths say it) from its `lib.rs`.
    ///
    /// # Errors
    /// A file that is not there or is no Rust.
    pub fn read(&mut self, name: &str, lib: &Path) -> Result<(), String> {
        let folder = lib.parent().expect("a file has a folder").to_owned();
        self.read_file(vec![name.to_owned()], lib, &folder)
    }

    fn read_file(&mut self, id: Id, file: &Path, folder: &Path) -> Result<(), String> {
        let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        let parsed = syn::parse_file(&text).map_err(|error| format!("{}: {error}", file.display()))?;
        self.read_items(&id, &parsed.items, folder)
    }

    fn read_items(&mut self, id: &Id, items: &[Item], folder: &Path) -> Result<(), String> {
        self.modules.entry(id.clone()).or_default();
        for item in items {
            self.read_item(id, item, folder)?;
        }
        Ok(())
    }

    fn read_item(&mut self, id: &Id, item: &Item, folder: &Path) -> Result<(), String> {
        match item {
            Item::Mod(child) if !is_left_out(&child.attrs) => {
                let name = child.ident.to_string();
                let module = self.modules.entry(id.clone()).or_default();
                module.children.push((Seen::of(&child.vis), name.clone()));
                let inner: Id = [id.as_slice(), std::slice::from_ref(&name)].concat();
                match &child.content {
                    Some((_, items)) => self.read_items(&inner, items, &folder.join(&name))?,
                    None => {
                        let file = file_of(folder, &name);
                        self.read_file(inner, &file, &folder.join(&name))?;
                    }
                }
            }
            Item::Use(used) if !is_left_out(&used.attrs) => {
                let mut found = Vec::new();
                flatten(&used.tree, &mut Vec::new(), &mut found);
                let seen = Seen::of(&used.vis);
                let module = self.modules.entry(id.clone()).or_default();
                module.uses.extend(found.into_iter().map(|(name, path)| (seen, name, path)));
            }
            Item::Fn(function) if !is_left_out(&function.attrs) => {
                let waits = Some(says_that_it_waits(&function.attrs));
                self.name(id, function.sig.ident.to_string(), Seen::of(&function.vis), waits);
            }
            Item::Macro(rules) if !is_left_out(&rules.attrs) => {
                let exported = rules.attrs.iter().any(|attribute| attribute.path().is_ident("macro_export"));
                if let (Some(name), true) = (&rules.ident, exported) {
                    let waits = Some(says_that_it_waits(&rules.attrs));
                    self.name(&id[..1].to_vec(), name.to_string(), Seen::Everywhere, waits);
                }
            }
            Item::Struct(item) => self.name(id, item.ident.to_string(), Seen::of(&item.vis), None),
            Item::Enum(item) => self.name(id, item.ident.to_string(), Seen::of(&item.vis), None),
            Item::Type(item) => self.name(id, item.ident.to_string(), Seen::of(&item.vis), None),
            Item::Trait(item) => self.read_trait(id, item),
            Item::Impl(block) if !is_left_out(&block.attrs) => self.read_impl(id, block),
            _ => {}
        }
        Ok(())
    }

    fn name(&mut self, id: &Id, name: String, seen: Seen, waits: Option<bool>) {
        let module = self.modules.entry(id.clone()).or_default();
        module.items.insert(name, Named { seen, waits });
    }

    fn read_trait(&mut self, id: &Id, item: &syn::ItemTrait) {
        let name = item.ident.to_string();
        for method in &item.items {
            if let TraitItem::Fn(method) = method
                && !is_left_out(&method.attrs)
            {
                let waits = says_that_it_waits(&method.attrs);
                self.methods.push((id.clone(), vec![name.clone()], method.sig.ident.to_string(), waits));
            }
        }
        self.name(id, name, Seen::of(&item.vis), None);
    }

    fn read_impl(&mut self, id: &Id, block: &syn::ItemImpl) {
        let syn::Type::Path(of) = &*block.self_ty else { return };
        let path: Vec<String> = of.path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        for method in block.items.iter().flat_map(methods) {
            let waits = says_that_it_waits(&method.attrs);
            // Of traits only what says that it waits: the rest is the trait's.
            let listed =
                if block.trait_.is_some() { waits } else { Seen::of(&method.vis) == Seen::Everywhere };
            if listed && !is_left_out(&method.attrs) {
                self.methods.push((id.clone(), path.clone(), method.sig.ident.to_string(), waits));
            }
        }
    }

    /// Every public function of the crate `name`, by the path of its type or module, in which users find it.
    #[must_use]
    pub fn public_functions(&self, name: &str) -> BTreeMap<String, Functions> {
        let mut walk =
            Walk { crates: self, seen: BTreeSet::new(), types: BTreeMap::new(), found: BTreeMap::new() };
        walk.enter(&vec![name.to_owned()], name);
        let Walk { types, mut found, .. } = walk;
        for (module, path, method, waits) in &self.methods {
            for target in self.resolve(module, module, path, 0) {
                if let Target::Item(id) = target
                    && let Some(public) = types.get(&id)
                {
                    *found.entry(public.clone()).or_default().entry(method.clone()).or_default() |= waits;
                }
            }
        }
        found
    }

    fn item(&self, id: &[String]) -> Option<&Named> {
        let (name, module) = id.split_last()?;
        self.modules.get(module)?.items.get(name)
    }

    /// What `path` leads to in `module`, for code of the module `origin`: a function and a module may have one name.
    fn resolve(&self, origin: &[String], module: &[String], path: &[String], depth: usize) -> Vec<Target> {
        // A name may lead to itself, as a macro that is used where it is.
        let Some((first, rest)) = path.split_first().filter(|_| depth < 20) else { return Vec::new() };
        let found = match first.as_str() {
            "self" => vec![Target::Module(module.to_vec())],
            "super" => vec![Target::Module(module[..module.len() - 1].to_vec())],
            "crate" => vec![Target::Module(module[..1].to_vec())],
            name => self.lookup(origin, module, name, depth),
        };
        if rest.is_empty() {
            return found;
        }
        let modules = found.into_iter().filter_map(|target| match target {
            Target::Module(id) => Some(id),
            Target::Item(_) => None,
        });
        modules.flat_map(|id| self.resolve(origin, &id, rest, depth + 1)).collect()
    }

    fn lookup(&self, origin: &[String], module: &[String], name: &str, depth: usize) -> Vec<Target> {
        let Some(this) = self.modules.get(module) else { return Vec::new() };
        let sees = |seen: Seen| seen.from(module, origin);
        let inner: Id = [module, &[name.to_owned()]].concat();
        let mut found = Vec::new();
        if this.items.get(name).is_some_and(|item| sees(item.seen)) {
            found.push(Target::Item(inner.clone()));
        }
        if this.children.iter().any(|(seen, child)| child == name && sees(*seen)) {
            found.push(Target::Module(inner));
        }
        let used =
            this.uses.iter().filter(|(seen, used, path)| used == name && path != &[name] && sees(*seen));
        found.extend(used.flat_map(|(_, _, path)| self.resolve(module, module, path, depth + 1)));
        if found.is_empty() && self.modules.contains_key(&[name.to_owned()][..]) {
            found.push(Target::Module(vec![name.to_owned()]));
        }
        found
    }
}

/// A walk through what users of a crate see.
struct Walk<'a> {
    crates: &'a Crates,
    seen: BTreeSet<Id>,
    /// The types that were found, and what users call them.
    types: BTreeMap<Id, String>,
    found: BTreeMap<String, Functions>,
}

impl Walk<'_> {
    fn enter(&mut self, module: &Id, path: &str) {
        if !self.seen.insert(module.clone()) {
            return;
        }
        let Some(this) = self.crates.modules.get(module) else { return };
        let inner = |name: &String| [module.as_slice(), std::slice::from_ref(name)].concat();
        let mut targets = Vec::new();
        for (name, _) in this.items.iter().filter(|(_, item)| item.seen == Seen::Everywhere) {
            targets.push((name, Target::Item(inner(name))));
        }
        for (_, name, path) in this.uses.iter().filter(|(seen, ..)| *seen == Seen::Everywhere) {
            let found = self.crates.resolve(module, module, path, 0);
            targets.extend(found.into_iter().map(|target| (name, target)));
        }
        for (_, name) in this.children.iter().filter(|(seen, _)| *seen == Seen::Everywhere) {
            targets.push((name, Target::Module(inner(name))));
        }
        let mut modules = Vec::new();
        for (name, target) in targets {
            let public = format!("{path}::{name}");
            match target {
                Target::Module(id) => modules.push((id, public)),
                Target::Item(id) => match self.crates.item(&id).and_then(|item| item.waits) {
                    Some(waits) => {
                        self.found.entry(path.to_owned()).or_default().insert(name.clone(), waits);
                    }
                    // The outermost name is the one that users know.
                    None => drop(self.types.entry(id).or_insert(public)),
                },
            }
        }
        for (id, public) in modules {
            self.enter(&id, &public);
        }
    }
}

/// The functions of the crate that users see, from the sources below `root`.
///
/// # Errors
/// A source that cannot be read.
pub fn of_the_facade(root: &Path) -> Result<BTreeMap<String, Functions>, String> {
    let mut crates = Crates::default();
    for folder in ["ropewalk", "runtime", "sync", "ipc", "sys"] {
        let name = if folder == "ropewalk" { folder.to_owned() } else { format!("ropewalk_{folder}") };
        crates.read(&name, &root.join("crates").join(folder).join("src/lib.rs"))?;
    }
    Ok(crates.public_functions("ropewalk"))
}

/// The page that lists them.
#[must_use]
pub fn page(functions: &BTreeMap<String, Functions>) -> String {
    let mut page = String::from(HEAD);
    for (path, functions) in functions {
        let list = |waits: bool| {
            let names = functions.iter().filter(|(_, waiting)| **waiting == waits);
            names.map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(", ")
        };
        page.push_str(&format!("| `{path}` | {} | {} |\n", list(true), list(false)));
    }
    page
}

const HEAD: &str = "\
# What may switch, and what never does

Only a function whose documentation has a section *Waits* may let another coroutine of the worker run, and only there. This is
every public function, by its type or module. The page is written from the sources by
`cargo run -p ropewalk-tidy --example waits > docs/waits.md`; a test compares the two, and
`switches::what_is_said_never_to_switch_does_not` calls what is said never to, under a hook that would notice.

Of the traits of std: `Read`, `Write`, `BufRead` and `Seek` of `net`, `fs`, `io` and `process`, `Iterator` of receivers, of `incoming` and of
generators, and `IntoFuture` may switch where the methods of the same type do. `Drop`, `Clone`, `Debug`, comparisons, conversions
never do; but the end of a block that waits is a wait of that block: `scope`, `timeout`, `run`. To drop a generator runs the
destructors of its body, which may wait. A closure that is handed over may wait wherever the function that calls it says so, or
says that it runs it in the calling task.

| | may switch | never |
|---|---|---|
";

/// The functions of an item in an `impl`: also of a macro, if those are what is handed to it.
fn methods(item: &ImplItem) -> Vec<ImplItemFn> {
    /// As many as there are.
    struct All(Vec<ImplItemFn>);

    impl Parse for All {
        fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
            let mut all = Vec::new();
            while !input.is_empty() {
                all.push(input.parse()?);
            }
            Ok(Self(all))
        }
    }

    match item {
        ImplItem::Fn(method) => vec![method.clone()],
        ImplItem::Macro(call) => call.mac.parse_body::<All>().map(|all| all.0).unwrap_or_default(),
        _ => Vec::new(),
    }
}

fn file_of(folder: &Path, name: &str) -> PathBuf {
    let flat = folder.join(format!("{name}.rs"));
    if flat.exists() { flat } else { folder.join(name).join("mod.rs") }
}

/// Tests, models, and what users are not to see.
fn is_left_out(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg") => {
            ["test", "loom", "doctest"].contains(&list.tokens.to_string().as_str())
        }
        Meta::List(list) if list.path.is_ident("doc") => list.tokens.to_string() == "hidden",
        _ => false,
    })
}

/// Whether there is a section *Waits*.
fn says_that_it_waits(attributes: &[Attribute]) -> bool {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    });
    lines.into_iter().any(|text| text.lines().any(|line| line.trim() == "# Waits"))
}

fn flatten(tree: &UseTree, path: &mut Vec<String>, found: &mut Vec<(String, Vec<String>)>) {
    match tree {
        UseTree::Path(inner) => {
            path.push(inner.ident.to_string());
            flatten(&inner.tree, path, found);
            path.pop();
        }
        UseTree::Name(name) if name.ident == "self" => {
            found.push((path.last().cloned().unwrap_or_default(), path.clone()));
        }
        UseTree::Name(name) => {
            let name = name.ident.to_string();
            found.push((name.clone(), [path.as_slice(), &[name]].concat()));
        }
        UseTree::Rename(name) => {
            let path = [path.as_slice(), &[name.ident.to_string()]].concat();
            found.push((name.rename.to_string(), path));
        }
        UseTree::Group(group) => group.items.iter().for_each(|tree| flatten(tree, path, found)),
        UseTree::Glob(_) => {}
    }
}
