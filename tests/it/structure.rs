//! The files of `src` must not import each other in a cycle.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{Item, ItemMod, ItemUse, UseTree, Visibility};

/// A path of names, such as `db::pool`.
type Names = Vec<String>;

/// The modules of a crate: their files and their re-exports.
#[derive(Default)]
struct Modules {
    files: BTreeMap<Names, PathBuf>,
    re_exports: BTreeMap<(Names, String), Names>,
}

impl Modules {
    /// Returns the module that defines the item of a path. Follows re-exports.
    fn defining(&self, path: &[String]) -> Option<Names> {
        let mut path = path.to_vec();
        for _ in 0..8 {
            let length = (0..=path.len()).rev().find(|length| self.files.contains_key(&path[..*length]))?;
            let (module, rest) = path.split_at(length);
            match rest.first().and_then(|name| self.re_exports.get(&(module.to_vec(), name.clone()))) {
                Some(from) => path = [from, &rest[1..]].concat(),
                None => return Some(module.to_vec()),
            }
        }
        None
    }
}

/// The paths within its crate that a file uses.
struct Named<'m> {
    modules: &'m Modules,
    module: Names,
    paths: BTreeSet<Names>,
    re_exports: Vec<(String, Names)>,
}

impl Named<'_> {
    /// Returns the path from the root of the crate, or `None` if it leads into another crate.
    fn absolute(&self, path: &[String]) -> Option<Names> {
        let mut base = match path.first()?.as_str() {
            "crate" => Names::new(),
            "self" | "super" => self.module.clone(),
            child => {
                let is_child =
                    self.modules.files.contains_key(&[&self.module[..], &[child.to_owned()]].concat());
                return is_child.then(|| [&self.module[..], path].concat());
            }
        };
        let mut rest = path;
        while let Some((first, others)) = rest.split_first() {
            match first.as_str() {
                "crate" | "self" => {}
                "super" => drop(base.pop()),
                _ => break,
            }
            rest = others;
        }
        Some([&base, rest].concat())
    }

    fn add(&mut self, path: &[String]) {
        self.paths.extend(self.absolute(path));
    }

    fn add_tree(&mut self, tree: &UseTree, before: &[String], is_re_export: bool) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.add_tree(&path.tree, &with(&path.ident), is_re_export),
            UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.add_tree(tree, before, is_re_export))
            }
            UseTree::Glob(_) => self.add(before),
            UseTree::Name(name) => {
                let path = if name.ident == "self" { before.to_vec() } else { with(&name.ident) };
                self.add(&path);
                if let (true, Some(path), Some(shown)) = (is_re_export, self.absolute(&path), path.last()) {
                    self.re_exports.push((shown.clone(), path));
                }
            }
            UseTree::Rename(rename) => {
                let path = with(&rename.ident);
                self.add(&path);
                if let (true, Some(path)) = (is_re_export, self.absolute(&path)) {
                    self.re_exports.push((rename.rename.to_string(), path));
                }
            }
        }
    }
}

fn is_test(item: &ItemMod) -> bool {
    item.attrs.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
    })
}

impl<'ast> Visit<'ast> for Named<'_> {
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.add_tree(&item.tree, &[], !matches!(item.vis, Visibility::Inherited));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let path_names: Names = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if path_names.len() > 1 {
            self.add(&path_names);
        }
        visit::visit_path(self, path);
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if is_test(item) {
            return;
        }
        // In an inline module, `super` is the file itself.
        if item.content.is_some() {
            self.module.push(item.ident.to_string());
            visit::visit_item_mod(self, item);
            self.module.pop();
        }
    }
}

/// Returns the module of a file. The path of the file is relative to the root of the crate.
fn module_of(file: &Path) -> Names {
    let mut names: Names = file.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    let last = names.pop().unwrap_or_default();
    match last.strip_suffix(".rs") {
        Some("mod" | "lib") | None => names,
        Some(name) => [names, vec![name.to_owned()]].concat(),
    }
}

/// Returns which files each file imports from. Imports from a parent module do not count.
fn imports(sources: &[(PathBuf, String)]) -> BTreeMap<PathBuf, BTreeSet<PathBuf>> {
    let mut modules = Modules::default();
    modules.files.extend(sources.iter().map(|(file, _)| (module_of(file), file.clone())));
    let parsed: Vec<(&PathBuf, syn::File)> =
        sources.iter().map(|(file, text)| (file, syn::parse_file(text).unwrap())).collect();
    let look = |modules: &Modules, file: &Path, parsed: &syn::File| {
        let mut named =
            Named { modules, module: module_of(file), paths: BTreeSet::new(), re_exports: Vec::new() };
        let items = parsed.items.iter().filter(|item| !matches!(item, Item::Macro(_)));
        items.for_each(|item| named.visit_item(item));
        (named.paths, named.re_exports)
    };
    for (file, parsed) in &parsed {
        let (_, re_exports) = look(&modules, file, parsed);
        let module = module_of(file);
        modules.re_exports.extend(re_exports.into_iter().map(|(name, from)| ((module.clone(), name), from)));
    }
    let mut imports = BTreeMap::new();
    for (file, parsed) in &parsed {
        let own = module_of(file);
        let (paths, _) = look(&modules, file, parsed);
        let from = paths.iter().filter_map(|path| modules.defining(path));
        let from = from.filter(|module| !own.starts_with(module));
        let from: BTreeSet<PathBuf> = from.filter_map(|module| modules.files.get(&module).cloned()).collect();
        imports.insert((*file).clone(), from);
    }
    imports
}

/// Returns the import cycles, each as the list of files around the cycle.
fn cycles(imports: &BTreeMap<PathBuf, BTreeSet<PathBuf>>) -> Vec<Vec<PathBuf>> {
    fn walk(
        file: &Path,
        imports: &BTreeMap<PathBuf, BTreeSet<PathBuf>>,
        way: &mut Vec<PathBuf>,
        done: &mut BTreeSet<PathBuf>,
        found: &mut Vec<Vec<PathBuf>>,
    ) {
        if let Some(at) = way.iter().position(|known| known == file) {
            found.push(way[at..].to_vec());
        }
        if !done.insert(file.to_owned()) {
            return;
        }
        way.push(file.to_owned());
        imports.get(file).into_iter().flatten().for_each(|next| walk(next, imports, way, done, found));
        way.pop();
    }
    let (mut done, mut found) = (BTreeSet::new(), Vec::new());
    imports.keys().for_each(|file| walk(file, imports, &mut Vec::new(), &mut done, &mut found));
    found
}

/// Returns the Rust files below a folder with their texts. Names are relative to the folder.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let files = walkdir::WalkDir::new(folder).into_iter().map(Result::unwrap);
    let files = files.filter(|file| file.path().extension().is_some_and(|ending| ending == "rs"));
    let files = files.map(|file| (file.path().strip_prefix(folder).unwrap().to_owned(), file.into_path()));
    files.map(|(name, file)| (name, std::fs::read_to_string(file).unwrap())).collect()
}

#[test]
fn source_files_have_no_import_cycles() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let library: Vec<_> = sources(&src)
        .into_iter()
        .filter(|(file, _)| !file.starts_with("cli") && *file != Path::new("main.rs"))
        .collect();
    let found = imports(&library);
    let pool = &found[Path::new("db/pool.rs")];
    assert!(library.len() > 200 && pool.contains(Path::new("db/opener.rs")), "{pool:?}");
    assert!(cycles(&found).is_empty(), "library: {:#?}", cycles(&found));
    let command = sources(&src.join("cli"));
    let found = imports(&command);
    assert!(found[Path::new("channels.rs")].contains(Path::new("values.rs")), "{found:?}");
    assert!(cycles(&found).is_empty(), "command: {:#?}", cycles(&found));
}

#[test]
fn import_cycles_are_found_through_re_exports() {
    let file = |name: &str, text: &str| (PathBuf::from(name), text.to_owned());
    let mut files = vec![
        file("lib.rs", "mod a; mod b;"),
        file("a/mod.rs", "mod inner; pub(crate) use inner::Thing;"),
        file("a/inner.rs", "use crate::b::Other; pub struct Thing(Other);"),
        file("b.rs", "pub struct Other; #[cfg(test)] mod tests { use crate::a::Thing; }"),
    ];
    assert!(cycles(&imports(&files)).is_empty());
    files[3].1 = "pub struct Other; fn f(_: crate::a::Thing) {}".to_owned();
    assert_eq!(cycles(&imports(&files)).len(), 1);
}
