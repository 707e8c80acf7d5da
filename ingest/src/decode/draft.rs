//! An event put together from members in any encoding. It is written as one JSON object in the vendor's own encoding, which the
//! scanner then reads like any other.
//!
//! ```text
//! {"event_name":"StopInstance","userIdentity":"{\"type\":\"ram-user\"}","requestParameters.Force":true}
//!   becomes
//! {"eventName":"StopInstance","requestParameters":{"Force":true},"userIdentity":{"type":"ram-user"}}
//! ```

use super::flattened::joined;
use super::member_names::{
    MemberName, OBJECT_COUNT, Structure, ends_in_identity, fold, is_whole_parameters, meant_fields,
    member_name, object_key, row_member_name, row_prefix, without_type,
};
use super::member_values::{self, Reading, push_member};
use super::vendor_names::is_documented_identity;
use std::borrow::Cow;
use std::collections::HashSet;
use trailhound_datasets::event::{
    ATTRIBUTES, Event, Field, FieldType, ParentObject, SESSION_ATTRIBUTES, SESSION_CONTEXT,
    USER_IDENTITY, is_placeholder,
};
use trailhound_datasets::fact::{Fact, FactSet};
use trailhound_datasets::json::{self, ValueKind, Walker};

/// A member of the record: its key and its value's JSON text.
pub(super) type Member<'t> = (Cow<'t, str>, &'t str);

/// An event under construction.
#[derive(Default)]
pub(super) struct EventDraft {
    /// JSON text of each field that was read.
    fields: Vec<Option<String>>,
    /// JSON text of each object of [`super::member_names::EXTRA_OBJECTS`], behind those of `Event::OBJECTS`.
    objects: [Option<String>; OBJECT_COUNT],
    /// Members of objects that came flattened: name and JSON text.
    parts: [Vec<(String, String)>; OBJECT_COUNT],
    /// Members that no field holds: the object around them, the key and the JSON text.
    extras: Vec<(ParentObject, String, String)>,
    has_session: bool,
    /// Fields of which a value was not understood.
    unread: Vec<Field>,
    /// A member of the identity stood in the event itself.
    has_misplaced: bool,
    /// Some member came in another encoding than the vendor's.
    pub(super) is_reencoded: bool,
    /// Some member has a value that is not understood.
    pub(super) has_mismatch: bool,
    /// Two members of one name say different things.
    pub(super) has_contradiction: bool,
    pub(super) not_understood: FactSet,
    /// The key and JSON text of the first unreadable member of the identity and of the action.
    pub(super) unread_identity: Option<(String, String)>,
    pub(super) unread_action: Option<(String, String)>,
}

impl EventDraft {
    /// Puts the members of a record together.
    pub(super) fn of(members: &[Member<'_>]) -> Self {
        let mut draft = Self { fields: vec![None; Field::COUNT], ..Self::default() };
        let mut keys: Vec<&str> = members.iter().map(|(key, _)| key.as_ref()).collect();
        // Where the type stands behind the names, it stands behind those of the parameters too.
        let is_typed = |key: &str| {
            let bare = without_type(key);
            bare.len() < key.len() && fold(bare).ends_with("eventname")
        };
        if keys.iter().any(|key| is_typed(key)) {
            keys = keys.into_iter().map(without_type).collect();
            draft.is_reencoded = true;
        }
        let prefix = row_prefix(&keys);
        let names: Vec<_> = keys.iter().map(|key| row_member_name(key, prefix)).collect();
        // Where columns carry a prefix, columns without one belong to the row.
        let is_row = names.iter().any(|(name, prefixed)| *prefixed && name.is_own());
        let mut unplaced = Vec::new();
        for ((key, (_, raw)), (name, prefixed)) in keys.into_iter().zip(members).zip(names) {
            if name.is_own() || matches!(name, MemberName::OfIdentity(_)) {
                draft.add(key, name, raw, Structure::Event);
                continue;
            }
            let own = prefix.and_then(|prefix| key.strip_prefix(prefix));
            if (prefixed || !is_row || own.is_some()) && !key.starts_with("__") && !is_nothing(raw)
            {
                unplaced.push((own.unwrap_or(key), name, *raw));
            }
        }
        draft.join_parts();
        // They stand for a member only where it is not in its own place. The kind of the identity says which it takes, and
        // the others whether it is one.
        unplaced.sort_by_key(|(_, name, raw)| match name {
            MemberName::Misplaced(Field::UserType) if is_documented_kind(raw) => 0,
            MemberName::Misplaced(Field::UserType) => 2,
            _ => 1,
        });
        for (key, name, raw) in unplaced {
            draft.add_unplaced(key, &name, raw);
        }
        draft
    }

    /// The text of `field`; `None` where it is absent or was not read.
    pub(super) fn text(&self, field: Field) -> Option<Cow<'_, str>> {
        self.fields[field as usize].as_deref().and_then(json::unquote)
    }

    /// True where some member of the identity was read.
    pub(super) fn has_identity_member(&self) -> bool {
        [Field::UserType, Field::AccountId, Field::PrincipalId, Field::UserName, Field::AccessKeyId]
            .iter()
            .any(|&field| self.fields[field as usize].is_some())
    }

    /// True where each member of the record is one that ActionTrail writes, in its place.
    pub(super) fn has_known_members_alone(&self) -> bool {
        self.extras.is_empty() && !self.has_misplaced
    }

    /// True where the identity was read from members that other programs have too.
    pub(super) fn has_loose_identity(&self) -> bool {
        self.has_misplaced && self.fields[Field::UserType as usize].is_none()
    }

    /// True where the object `insightDetails` was read.
    pub(super) fn has_insight(&self) -> bool {
        self.objects[OBJECT_COUNT - 1].is_some()
    }

    /// A text of the record that only another vendor writes: a resource name of its own, in the event or its identity.
    pub(super) fn foreign_resource_name(&self) -> Option<&'static str> {
        const NAMES: [(&str, &str); 5] = [
            ("arn:aws", "AWS CloudTrail"),
            ("trn:", "Volcengine CloudTrail"),
            ("jrn:", "the JD Cloud trail"),
            ("qcs::", "Tencent CloudAudit"),
            ("ucs:", "the UCloud audit log"),
        ];
        let of_identity =
            self.extras.iter().filter(|(parent, ..)| *parent != ParentObject::SessionAttributes);
        of_identity.filter_map(|(.., raw)| json::unquote(raw)).find_map(|text| {
            NAMES.iter().find(|(start, _)| text.starts_with(start)).map(|&(_, name)| name)
        })
    }

    fn add(&mut self, key: &str, name: MemberName, raw: &str, parent: Structure) {
        match name {
            MemberName::Field(field) => self.add_field(key, field, raw, parent),
            MemberName::Structure(structure) => self.add_structure(key, structure, raw),
            MemberName::Object(number) => self.add_object(key, number, raw),
            MemberName::Part(number, name) => {
                self.is_reencoded = true;
                // An empty parameter is a parameter. Columns of other events are null.
                if raw != "null" {
                    self.parts[number].push((name, raw.to_owned()));
                }
            }
            MemberName::OfIdentity(name) => {
                self.is_reencoded = true;
                self.has_session |= name.starts_with(SESSION_CONTEXT) && !is_nothing(raw);
                self.extras.push((ParentObject::UserIdentity, name, raw.to_owned()));
            }
            MemberName::Other | MemberName::Misplaced(_) | MemberName::Inside(_) => {
                let parent = match parent {
                    Structure::Identity => ParentObject::UserIdentity,
                    Structure::Event => ParentObject::Root,
                    Structure::Session | Structure::Attributes => ParentObject::SessionAttributes,
                };
                self.extras.push((parent, key.to_owned(), raw.to_owned()));
            }
        }
    }

    fn add_field(&mut self, key: &str, field: Field, raw: &str, parent: Structure) {
        match member_values::field(field, raw) {
            Reading::Absent => self.is_reencoded |= !matches!(raw, "null" | "\"\""),
            Reading::NotUnderstood => {
                // The text of a time or a flag that is not understood stays beside its column, which is NULL.
                let has_other_type = !raw.starts_with('"')
                    || !matches!(
                        field,
                        Field::EventTime
                            | Field::CreationDate
                            | Field::MfaAuthenticated
                            | Field::IsGlobal
                    );
                self.not_read(key, field.fact(), raw);
                self.has_mismatch |= has_other_type;
                self.unread.push(field);
                self.has_contradiction |= self.fields[field as usize].is_some();
            }
            Reading::Read(value) => {
                let (_, own, own_key, _) = Field::ALL[field as usize];
                let is_in_place = parent == structure_of(own) && is_own_key(key, own_key);
                self.is_reencoded |= !is_in_place || !is_own_encoding(field, raw, &value);
                let slot = &mut self.fields[field as usize];
                if slot.as_ref().is_some_and(|before| *before != value)
                    || self.unread.contains(&field)
                {
                    self.contradict(key, field.fact(), raw);
                }
                self.fields[field as usize] = Some(value);
            }
        }
    }

    /// Adds a member of the record that is not in the place of a member.
    fn add_unplaced(&mut self, key: &str, name: &MemberName, raw: &str) {
        match *name {
            MemberName::Misplaced(field) if self.takes_misplaced(field, raw) => {
                self.has_misplaced = true;
                return self.add_field(key, field, raw, Structure::Event);
            }
            MemberName::Inside(field) if self.lacks(field) => {
                self.has_mismatch = true;
                self.not_read(key, field.fact(), raw);
            }
            MemberName::Other => {
                let mut meant = meant_fields(key);
                if is_whole_parameters(key)
                    && !matches!(member_values::object(raw, false), Reading::Read(_))
                {
                    meant.clear();
                }
                if ends_in_identity(key, raw) || holds_identity(raw) {
                    meant.push(Field::UserType);
                }
                for field in
                    meant.into_iter().filter(|&field| self.lacks(field)).collect::<Vec<_>>()
                {
                    self.not_read(key, field.fact(), raw);
                }
            }
            _ => {}
        }
        self.extras.push((ParentObject::Root, key.to_owned(), raw.to_owned()));
    }

    /// True where the identity takes `raw`, which stands in the event itself, as its member `field`.
    fn takes_misplaced(&self, field: Field, raw: &str) -> bool {
        let is_taken = |field: Field| self.fields[field as usize].is_some();
        !is_taken(field)
            && match field {
                Field::UserType => {
                    is_documented_kind(raw)
                        || is_taken(Field::PrincipalId)
                        || is_taken(Field::AccessKeyId)
                }
                // The platform's own identity has no account.
                Field::AccountId => self.text(Field::UserType).is_none_or(|kind| kind != "system"),
                _ => true,
            }
    }

    /// True where neither `field` nor a member that says the same was read.
    fn lacks(&self, field: Field) -> bool {
        let is_read = |field: Field| match Event::OBJECTS.iter().position(|&o| o == field) {
            Some(number) => self.objects[number].is_some(),
            None => self.fields[field as usize].is_some(),
        };
        !match field {
            // An account alone is nobody.
            Field::UserType => [field, Field::PrincipalId, Field::UserName, Field::AccessKeyId]
                .iter()
                .any(|&field| is_read(field)),
            Field::RequestParameters | Field::RequestParameterJson => {
                is_read(Field::RequestParameters) || is_read(Field::RequestParameterJson)
            }
            _ => is_read(field),
        }
    }

    fn add_structure(&mut self, key: &str, structure: Structure, raw: &str) {
        let object = match member_values::object(raw, false) {
            Reading::Read(object) => object,
            Reading::Absent => {
                self.is_reencoded |= raw != "null";
                return;
            }
            Reading::NotUnderstood => {
                self.has_mismatch = true;
                self.not_read(key, Some(Fact::Identity), raw);
                if structure != Structure::Identity {
                    // The session says whether a second factor was used.
                    self.not_read(key, Some(Fact::Mfa), raw);
                }
                return;
            }
        };
        self.is_reencoded |= !raw.starts_with('{')
            || !structure_keys(structure).iter().any(|own| is_own_key(key, own));
        self.has_session |= structure != Structure::Identity;
        let mut says_something = false;
        for (name, value) in json::members(&object) {
            says_something |= !is_nothing(value);
            self.add(&name, member_name(&name, structure), value, structure);
        }
        if says_something && structure == Structure::Identity && !self.has_identity_member() {
            self.unread_identity = None;
            self.not_read(key, Some(Fact::Identity), raw);
        }
    }

    fn add_object(&mut self, key: &str, number: usize, raw: &str) {
        let field = Event::OBJECTS.get(number).copied();
        let reading = member_values::object(raw, field == Some(Field::ReferencedResources));
        match reading {
            Reading::Absent => self.is_reencoded |= raw != "null",
            Reading::NotUnderstood => {
                self.has_mismatch = true;
                self.not_read(key, field.and_then(Field::fact), raw);
            }
            Reading::Read(object) => {
                let object = match field {
                    Some(Field::AdditionalEventData) => {
                        member_values::in_camel_case(&object).unwrap_or(object)
                    }
                    _ => object,
                };
                self.is_reencoded |= object != raw || !is_own_key(key, object_key(number));
                // An object without members says nothing against another.
                let is_empty = |object: &String| json::members(object).next().is_none();
                let before = self.objects[number].take().filter(|before| !is_empty(before));
                let is_said = before.is_some() && is_empty(&object);
                let is_doubled =
                    !is_said && before.as_ref().is_some_and(|before| *before != object);
                if is_doubled || has_doubled_key(&object) {
                    self.contradict(key, field.and_then(Field::fact), raw);
                }
                if field.is_some_and(|field| member_values::is_boxed(field, &object)) {
                    self.not_read(key, field.and_then(Field::fact), raw);
                }
                self.objects[number] = if is_said { before } else { Some(object) };
            }
        }
    }

    fn not_read(&mut self, key: &str, fact: Option<Fact>, raw: &str) {
        let Some(fact) = fact else { return };
        self.not_understood.insert(fact);
        let unread = match fact {
            Fact::Identity => &mut self.unread_identity,
            Fact::Action => &mut self.unread_action,
            _ => return,
        };
        unread.get_or_insert_with(|| (key.to_owned(), raw.to_owned()));
    }

    fn contradict(&mut self, key: &str, fact: Option<Fact>, raw: &str) {
        self.not_read(key, fact, raw);
        self.has_contradiction = true;
    }

    /// Makes objects of the members that came flattened. They belong to the object of that name, if the record has it too.
    fn join_parts(&mut self) {
        let says_identity = self
            .extras
            .iter()
            .find(|(parent, _, raw)| *parent == ParentObject::UserIdentity && !is_nothing(raw));
        if let Some((_, key, raw)) = says_identity.cloned()
            && !self.has_identity_member()
        {
            self.not_read(&format!("{USER_IDENTITY}.{key}"), Some(Fact::Identity), &raw);
        }
        for number in 0..OBJECT_COUNT {
            let parts = std::mem::take(&mut self.parts[number]);
            if parts.is_empty() {
                continue;
            }
            let is_by_kind = Event::OBJECTS.get(number) == Some(&Field::ReferencedResources);
            let mut object = String::from("{");
            let whole = self.objects[number].take().unwrap_or_default();
            if whole.starts_with('[') {
                // A list has no member to which they could belong.
                self.contradict(object_key(number), Event::OBJECTS[number].fact(), &whole);
                self.objects[number] = Some(whole);
                continue;
            }
            let before: Vec<Member<'_>> = json::members(&whole).collect();
            for (name, raw) in &before {
                push_member(&mut object, &json::quote(name), raw);
            }
            let known: HashSet<(&str, &str)> =
                before.iter().map(|(name, raw)| (name.as_ref(), *raw)).collect();
            for (name, raw) in joined(parts, is_by_kind) {
                if !known.contains(&(name.as_str(), raw.as_str())) {
                    push_member(&mut object, &json::quote(&name), &raw);
                }
            }
            object.push('}');
            self.add_object(object_key(number), number, &object);
        }
    }

    /// The event as JSON text in the vendor's encoding.
    pub(super) fn text_of_event(&self) -> String {
        let mut event = String::from("{");
        let mut identity = String::from("{");
        let mut session = String::from("{");
        for (field, parent, key, field_type) in Field::ALL {
            let value = match field_type {
                FieldType::Object => {
                    let number = Event::OBJECTS.iter().position(|&object| object == field);
                    number.and_then(|number| self.objects[number].as_ref())
                }
                _ => self.fields[field as usize].as_ref(),
            };
            let Some(value) = value else { continue };
            let object = match parent {
                ParentObject::Root => &mut event,
                ParentObject::UserIdentity => &mut identity,
                ParentObject::SessionAttributes => &mut session,
            };
            push_member(object, &json::quote(key), value);
        }
        for (parent, key, value) in &self.extras {
            let object = match parent {
                ParentObject::Root => &mut event,
                ParentObject::UserIdentity => &mut identity,
                ParentObject::SessionAttributes => &mut session,
            };
            push_member(object, &json::quote(key), value);
        }
        for number in Event::OBJECTS.len()..OBJECT_COUNT {
            if let Some(object) = &self.objects[number] {
                push_member(&mut event, &json::quote(object_key(number)), object);
            }
        }
        if self.has_session || session.len() > 1 {
            let context = format!("{{{}:{session}}}}}", json::quote(ATTRIBUTES));
            push_member(&mut identity, &json::quote(SESSION_CONTEXT), &context);
        }
        if identity.len() > 1 {
            identity.push('}');
            push_member(&mut event, &json::quote(USER_IDENTITY), &identity);
        }
        event.push('}');
        event
    }
}

/// True for a value that stands for nothing.
fn is_nothing(raw: &str) -> bool {
    match raw.as_bytes().first() {
        Some(b'n') | None => true,
        Some(b'"') => json::unquote(raw).is_some_and(|text| is_placeholder(&text)),
        Some(b'[') => json::elements(raw).next().is_none(),
        _ => false,
    }
}

fn structure_of(parent: ParentObject) -> Structure {
    match parent {
        ParentObject::Root => Structure::Event,
        ParentObject::UserIdentity => Structure::Identity,
        ParentObject::SessionAttributes => Structure::Attributes,
    }
}

fn structure_keys(structure: Structure) -> &'static [&'static str] {
    match structure {
        Structure::Event => &[],
        Structure::Identity => &[USER_IDENTITY],
        Structure::Session => &[SESSION_CONTEXT],
        Structure::Attributes => &[ATTRIBUTES, SESSION_ATTRIBUTES],
    }
}

/// True where the scanner knows `key` as the vendor's `own` key: with either case of its first letter.
fn is_own_key(key: &str, own: &str) -> bool {
    key.len() == own.len()
        && key.as_bytes()[1..] == own.as_bytes()[1..]
        && key.as_bytes()[0].eq_ignore_ascii_case(&own.as_bytes()[0])
        || Field::ALIASES.iter().any(|&(alias, _)| alias == key)
}

/// True where the scanner reads `raw` as it is.
fn is_own_encoding(field: Field, raw: &str, read: &str) -> bool {
    let is_number = raw.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    raw == read
        || match Field::ALL[field as usize].3 {
            FieldType::Id => is_number,
            FieldType::Bool => raw.starts_with('"'),
            FieldType::Text => {
                (field == Field::MfaAuthenticated && matches!(raw, "true" | "false"))
                    || (field == Field::RequestParameterJson && raw.starts_with('{'))
                    || (raw.starts_with('"') && json::unquote(raw) == json::unquote(read))
            }
            FieldType::Object => false,
        }
}

fn has_doubled_key(object: &str) -> bool {
    Walker::default()
        .value(object.as_bytes(), 0)
        .is_ok_and(|value| value.kind == ValueKind::Object && value.duplicate_key)
}

/// True where `raw` is an object with members that only an identity has.
fn holds_identity(raw: &str) -> bool {
    let member_values::Reading::Read(object) = member_values::object(raw, false) else {
        return false;
    };
    json::members(&object).any(|(key, value)| match member_name(&key, Structure::Identity) {
        MemberName::Field(Field::PrincipalId | Field::AccessKeyId) => !is_nothing(value),
        MemberName::Field(Field::UserType) => is_documented_kind(value),
        _ => false,
    })
}

/// True for the JSON text of an identity type that the vendor documents.
fn is_documented_kind(raw: &str) -> bool {
    json::unquote(raw).is_some_and(|kind| is_documented_identity(&kind))
}
