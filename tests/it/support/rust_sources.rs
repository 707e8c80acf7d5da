//! The Rust sources of the workspace as modules, imports and public names, read by `syn`. Code under `#[cfg(test)]` is
//! left out: a test module may import whatever it tests.
//!
//! An import counts from the file that writes it to the file that defines the name: `pub use` lines are followed, so a
//! `mod.rs` that only hands names on is no import of its own. Paths inside macro calls are not seen.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use syn::visit::{self, Visit};

/// The crates of the workspace: folder of the sources, name in paths.
pub(crate) const CRATES: [(&str, &str); 5] = [
    ("datasets/src", "trailhound_datasets"),
    ("ingest/src", "trailhound_ingest"),
    ("queries/src", "trailhound_queries"),
    ("detect/src", "trailhound_detect"),
    ("src", "trailhound"),
];

/// One source file, which is one module.
pub(crate) struct Module {
    /// Path of the file, relative to the workspace.
    pub(crate) file: String,
    /// Lines of the file.
    pub(crate) text: String,
    /// Names of the module's public types.
    pub(crate) public_types: Vec<String>,
    /// Number of `pub` functions, and of those with a doc comment.
    pub(crate) public_functions: (usize, usize),
    children: BTreeSet<String>,
    /// Names that `use` brings in, with the path they stand for.
    imported: BTreeMap<String, Vec<String>>,
    globs: Vec<Vec<String>>,
    /// Every path that the code names, as written, from its first segment.
    paths: BTreeSet<Vec<String>>,
}

/// The modules of one crate, by their path below the crate's root; the root itself is the empty path.
pub(crate) struct Crate {
    modules: BTreeMap<Vec<String>, Module>,
}

/// The folder of the workspace.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Rust files below `root`.
fn rust_files(root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut pending = vec![root.to_owned()];
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            let entries = std::fs::read_dir(&path).expect("a folder of sources");
            pending.extend(entries.map(|entry| entry.expect("an entry").path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

impl Crate {
    /// Reads every source file below `folder`, a path relative to the workspace.
    pub(crate) fn read(folder: &str) -> Self {
        let root = workspace().join(folder);
        let files = rust_files(&root).into_iter();
        let modules = files.map(|path| (module_path(&root, &path), Module::read(&path)));
        Self { modules: modules.collect() }
    }

    /// Every module of the crate.
    pub(crate) fn modules(&self) -> impl Iterator<Item = &Module> {
        self.modules.values()
    }

    /// The imports between files of the crate: importing file to the files that define what it names.
    pub(crate) fn imports(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut imports: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (at, module) in &self.modules {
            let targets = imports.entry(&module.file).or_default();
            for path in &module.paths {
                if let Some(target) = self.defining(at, path, 0)
                    && target != at
                {
                    targets.insert(&self.modules[target].file);
                }
            }
        }
        imports
    }

    /// The module that defines what `path` means in the module `at`.
    fn defining(&self, at: &[String], path: &[String], depth: usize) -> Option<&Vec<String>> {
        if depth > 8 {
            return None;
        }
        let (mut here, rest) = self.start(at, path)?;
        let mut rest = rest;
        while let Some((name, after)) = rest.split_first() {
            let mut child = here.clone();
            child.push(name.clone());
            if self.modules.contains_key(&child) {
                (here, rest) = (child, after);
                continue;
            }
            let module = self.modules.get(&here)?;
            if let Some(target) = module.imported.get(name) {
                let target: Vec<String> = target.iter().chain(after).cloned().collect();
                return self.defining(&here, &target, depth + 1);
            }
            break;
        }
        self.modules.get_key_value(&here).map(|(path, _)| path)
    }

    /// The module where the rest of `path` is looked up; `None` for paths that leave the crate or start at a local name.
    fn start<'p>(&self, at: &[String], path: &'p [String]) -> Option<(Vec<String>, &'p [String])> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => Some((Vec::new(), rest)),
            "self" => Some((at.to_vec(), rest)),
            "super" => {
                let mut here = at.to_vec();
                here.pop()?;
                let mut rest = rest;
                while let Some((next, after)) = rest.split_first()
                    && next == "super"
                {
                    here.pop()?;
                    rest = after;
                }
                Some((here, rest))
            }
            name if self.modules.get(at)?.children.contains(name) => Some((at.to_vec(), path)),
            _ => None,
        }
    }
}

/// The path of the module in the file `path` below the crate's folder `root`.
fn module_path(root: &Path, path: &Path) -> Vec<String> {
    let relative = path.strip_prefix(root).expect("a file of the crate").with_extension("");
    let mut parts: Vec<String> =
        relative.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if parts.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
        parts.pop();
    }
    parts
}

/// `path` relative to the workspace.
fn relative(path: &Path) -> String {
    let below = path.strip_prefix(workspace()).expect("a file of the workspace");
    below.to_string_lossy().into_owned()
}

impl Module {
    fn read(path: &PathBuf) -> Self {
        let text = std::fs::read_to_string(path).expect("a source file");
        let file = syn::parse_file(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let mut module = Self {
            file: relative(path),
            text,
            public_types: Vec::new(),
            public_functions: (0, 0),
            children: BTreeSet::new(),
            imported: BTreeMap::new(),
            globs: Vec::new(),
            paths: BTreeSet::new(),
        };
        module.visit_file(&file);
        for glob in std::mem::take(&mut module.globs) {
            module.paths.insert(glob);
        }
        module
    }

    fn add_use(&mut self, tree: &syn::UseTree, prefix: &[String]) {
        let with = |name: &syn::Ident| {
            prefix.iter().cloned().chain([name.to_string()]).collect::<Vec<String>>()
        };
        match tree {
            syn::UseTree::Path(path) => self.add_use(&path.tree, &with(&path.ident)),
            syn::UseTree::Name(name) if name.ident == "self" => {
                let last = prefix.last().cloned().unwrap_or_default();
                self.imported.insert(last, prefix.to_vec());
                self.paths.insert(prefix.to_vec());
            }
            syn::UseTree::Name(name) => {
                self.imported.insert(name.ident.to_string(), with(&name.ident));
                self.paths.insert(with(&name.ident));
            }
            syn::UseTree::Rename(rename) => {
                self.imported.insert(rename.rename.to_string(), with(&rename.ident));
                self.paths.insert(with(&rename.ident));
            }
            syn::UseTree::Glob(_) => self.globs.push(prefix.to_vec()),
            syn::UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.add_use(tree, prefix));
            }
        }
    }

    fn add_public(&mut self, visibility: &syn::Visibility, attributes: &[syn::Attribute]) {
        if matches!(visibility, syn::Visibility::Public(_)) {
            self.public_functions.0 += 1;
            let is_documented = attributes.iter().any(|attribute| attribute.path().is_ident("doc"));
            self.public_functions.1 += usize::from(is_documented);
        }
    }

    fn add_type(&mut self, visibility: &syn::Visibility, name: &syn::Ident) {
        if matches!(visibility, syn::Visibility::Public(_)) {
            self.public_types.push(name.to_string());
        }
    }
}

/// One function, test functions included.
pub(crate) struct Function {
    /// The name.
    pub(crate) name: String,
    /// File and first line.
    pub(crate) place: String,
    /// Lines from `fn` to the closing brace.
    pub(crate) lines: usize,
}

/// Every function in the Rust files below `folders`, paths relative to the workspace.
pub(crate) fn functions(folders: &[&str]) -> Vec<Function> {
    let mut found = FunctionVisitor::default();
    for folder in folders {
        for path in rust_files(&workspace().join(folder)) {
            let text = std::fs::read_to_string(&path).expect("a source file");
            found.file = relative(&path);
            found.visit_file(&syn::parse_file(&text).expect("Rust"));
        }
    }
    found.functions
}

#[derive(Default)]
struct FunctionVisitor {
    file: String,
    functions: Vec<Function>,
}

impl FunctionVisitor {
    fn add(&mut self, signature: &syn::Signature, whole: proc_macro2::Span) {
        let first = signature.fn_token.span.start().line;
        self.functions.push(Function {
            name: signature.ident.to_string(),
            place: format!("{}:{first}", self.file),
            lines: whole.end().line + 1 - first,
        });
    }
}

impl<'ast> Visit<'ast> for FunctionVisitor {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.add(&item.sig, syn::spanned::Spanned::span(&item.block));
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.add(&item.sig, syn::spanned::Spanned::span(&item.block));
        visit::visit_impl_item_fn(self, item);
    }
}

/// True for `#[cfg(test)]` and `#[test]`.
fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || (attribute.path().is_ident("cfg")
                && attribute.parse_args::<syn::Ident>().is_ok_and(|condition| condition == "test"))
    })
}

impl<'ast> Visit<'ast> for Module {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if is_test(&item.attrs) {
            return;
        }
        if item.content.is_none() {
            self.children.insert(item.ident.to_string());
        }
        visit::visit_item_mod(self, item);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !is_test(&item.attrs) {
            self.add_use(&item.tree, &[]);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 && path.leading_colon.is_none() {
            let names = path.segments.iter().map(|segment| segment.ident.to_string());
            self.paths.insert(names.collect());
        }
        visit::visit_path(self, path);
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_test(&item.attrs) {
            self.add_public(&item.vis, &item.attrs);
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_test(&item.attrs) {
            self.add_public(&item.vis, &item.attrs);
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.add_type(&item.vis, &item.ident);
        visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.add_type(&item.vis, &item.ident);
        visit::visit_item_enum(self, item);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.add_type(&item.vis, &item.ident);
        visit::visit_item_trait(self, item);
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        self.add_type(&item.vis, &item.ident);
        visit::visit_item_type(self, item);
    }
}
