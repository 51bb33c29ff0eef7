//! How streams join: a tree of objects, and a table of reports by the objects that they name.

use std::collections::BTreeMap;

use super::svg::Picture;

/// A stream, and what its columns refer to.
#[derive(Debug, Clone)]
pub struct Entity {
    pub name: String,
    pub key: Vec<String>,
    /// A column that has the id of another stream, and that stream.
    pub joins: Vec<(String, String)>,
}

const WIDTH: i32 = 216;
const COLUMN: i32 = 264;
const MARGIN: i32 = 20;

/// The objects that are joined with others, each to the right of the object that it belongs to.
pub fn objects(title: &str, entities: &[Entity]) -> String {
    let mut tree = Tree { entities, places: BTreeMap::new(), next: MARGIN };
    let is_joined =
        |entity: &&Entity| entities.iter().any(|other| other.joins.iter().any(|(_, owner)| *owner == entity.name));
    // Those without children in the tree come last: they only complete another line.
    let mut roots: Vec<_> = entities.iter().filter(|entity| entity.joins.is_empty()).filter(is_joined).collect();
    roots.sort_by_key(|root| tree.children(root).is_empty());
    for root in roots {
        if tree.children(root).is_empty() {
            tree.place_in_gap(root);
        } else {
            tree.place(root, 0);
        }
    }
    let mut picture = Picture::new(title);
    let mut lines: Vec<_> =
        entities.iter().flat_map(|entity| tree.nearest(entity).into_iter().map(move |join| (entity, join))).collect();
    lines.sort_by_key(|(entity, _)| tree.places.get(&entity.name).copied());
    for (entity, (line, owner)) in lines {
        let [from, to] = [&owner, &entity.name].map(|name| tree.places[name]);
        let (x, y) = (from.0 + WIDTH, from.1 + 17);
        let (end, target) = (to.0, to.1 + 17 + 16 * (i32::try_from(line).unwrap() + 1));
        let middle = to.0 - 22;
        let path = if tree.parent(entity) == Some(owner.as_str()) {
            format!("M{x} {y} H{middle} V{target} H{end}")
        } else {
            let turn = (from.0 + to.0 + WIDTH) / 2;
            format!("M{x} {y} C{turn} {y} {turn} {target} {end} {target}")
        };
        picture.path("line", &path);
        // Three toes: many rows of this stream for one of the owner.
        picture.path(
            "line",
            &format!("M{} {target} L{end} {} M{} {target} L{end} {}", end - 9, target - 5, end - 9, target + 5),
        );
    }
    for entity in entities {
        let Some((x, y)) = tree.places.get(&entity.name).copied() else { continue };
        let class = if entity.joins.is_empty() { "root" } else { "box" };
        picture.rect(class, [x, y, WIDTH, height(entity)]);
        picture.text("name", x + 10, y + 19, &entity.name);
        for ((column, _), line) in entity.joins.iter().zip(1..) {
            picture.text("code muted", x + 10, y + 20 + 16 * line, column);
        }
    }
    let right = tree.places.values().map(|(x, _)| x + WIDTH).max().unwrap_or(0);
    picture.finish(right + MARGIN, tree.next - 12 + MARGIN)
}

fn height(entity: &Entity) -> i32 {
    28 + 16 * i32::try_from(entity.joins.len()).unwrap()
}

struct Tree<'a> {
    entities: &'a [Entity],
    places: BTreeMap<String, (i32, i32)>,
    next: i32,
}

impl<'a> Tree<'a> {
    fn find(&self, name: &str) -> &'a Entity {
        self.entities.iter().find(|entity| entity.name == name).unwrap()
    }

    /// Every object that this one belongs to, however far away.
    fn owners(&self, entity: &Entity) -> Vec<String> {
        let direct = entity.joins.iter().map(|(_, owner)| owner.clone());
        direct.flat_map(|owner| [self.owners(self.find(&owner)), vec![owner]].concat()).collect()
    }

    /// The joins to draw, by line: without those to an owner of an owner.
    fn nearest(&self, entity: &Entity) -> Vec<(usize, String)> {
        let is_far = |name: &String| entity.joins.iter().any(|(_, owner)| self.owners(self.find(owner)).contains(name));
        let joins = entity.joins.iter().enumerate().filter(|(_, (_, owner))| !is_far(owner));
        joins.map(|(line, (_, owner))| (line, owner.clone())).collect()
    }

    /// The owner in whose branch an object stands: the one with the most owners itself.
    fn parent(&self, entity: &Entity) -> Option<&'a str> {
        let owners = self.nearest(entity).into_iter().map(|(_, owner)| self.find(&owner));
        owners.max_by_key(|owner| self.owners(owner).len()).map(|owner| owner.name.as_str())
    }

    fn children(&self, owner: &Entity) -> Vec<&'a Entity> {
        let mut children: Vec<_> =
            self.entities.iter().filter(|entity| self.parent(entity) == Some(owner.name.as_str())).collect();
        // Small ones first, and next to other branches those that are joined with these.
        children.sort_by_key(|child| (self.nearest(child).len(), std::cmp::Reverse(self.nearest_users(child))));
        children
    }

    /// How many objects outside of its branch refer to this one.
    fn nearest_users(&self, owner: &Entity) -> usize {
        let uses = |entity: &&Entity| self.nearest(entity).iter().any(|(_, name)| *name == owner.name);
        self.entities.iter().filter(uses).count()
    }

    /// Under the boxes of the column before the first object that refers to this one.
    fn place_in_gap(&mut self, owner: &Entity) {
        let users = self.entities.iter().filter(|entity| entity.joins.iter().any(|(_, name)| *name == owner.name));
        let first = users.filter_map(|user| self.places.get(&user.name)).map(|(x, _)| *x).min();
        let column = first.map_or(MARGIN, |x| x - COLUMN);
        let above = self.places.iter().filter(|(_, (x, _))| *x == column);
        let bottom = above.map(|(name, (_, y))| y + height(self.find(name)) + 12).max();
        let top = bottom.unwrap_or(self.next);
        self.places.insert(owner.name.clone(), (column, top));
        self.next = self.next.max(top + height(owner) + 12);
    }

    fn place(&mut self, entity: &Entity, depth: i32) {
        let top = self.next;
        self.places.insert(entity.name.clone(), (MARGIN + depth * COLUMN, top));
        for child in self.children(entity) {
            self.place(child, depth + 1);
        }
        self.next = self.next.max(top + height(entity) + 12);
    }
}

/// The reports, one per line, with a dot for each object that a row names.
pub fn reports(title: &str, reports: &[Entity], owners: &[String]) -> String {
    let (left, step, line) = (250, 96, 28);
    let mut picture = Picture::new(title);
    let x_of = |index: usize| left + step * i32::try_from(index).unwrap() + step / 2;
    let right = left + step * i32::try_from(owners.len()).unwrap() + 20;
    let top = 70;
    let bottom = top + line * i32::try_from(reports.len()).unwrap();
    picture.text("muted small", MARGIN, top - 16, "a row of");
    picture.text("muted small", right, top - 16, "is further divided by");
    for (index, owner) in owners.iter().enumerate() {
        // Staggered, so that long names have space.
        picture.text_at("name small", x_of(index), if index % 2 == 0 { top - 34 } else { top - 16 }, owner);
        let start = if index % 2 == 0 { top - 28 } else { top - 10 };
        picture.path("grid", &format!("M{} {start} V{bottom}", x_of(index)));
    }
    for (report, y) in reports.iter().zip((top..).step_by(usize::try_from(line).unwrap())) {
        let middle = y + line / 2;
        picture.path("grid", &format!("M{MARGIN} {} H{}", y + line, right + 400));
        picture.text("name", MARGIN, middle + 5, &report.name);
        let named: Vec<_> =
            (0..owners.len()).filter(|index| report.joins.iter().any(|(_, owner)| *owner == owners[*index])).collect();
        if let [first, .., last] = named.as_slice() {
            picture.path("line", &format!("M{} {middle} H{}", x_of(*first), x_of(*last)));
        }
        for index in named {
            picture.dot("dot", x_of(index), middle);
        }
        let divided = report.key.iter().filter(|column| !report.joins.iter().any(|(join, _)| join == *column));
        picture.text("code muted", right, middle + 4, &divided.cloned().collect::<Vec<_>>().join(", "));
    }
    picture.finish(right + 400 + MARGIN, bottom + MARGIN)
}
