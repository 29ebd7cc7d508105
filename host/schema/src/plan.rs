//! A type prepared for translation: names in place, JSON fragments rendered.

use crate::Type;

/// Mirrors [`Type`], with what reading and writing need at hand.
#[derive(Debug)]
pub(crate) enum Plan {
    Bool,
    U8,
    S8,
    U16,
    S16,
    U32,
    S32,
    U64,
    S64,
    F32,
    F64,
    Char,
    String,
    Bytes,
    List(Box<Plan>),
    Option(Box<Plan>),
    /// `ok` and `err`, as a variant of these two cases.
    Result(Box<Cases>),
    Tuple(Box<[Plan]>),
    Record(Box<RecordPlan>),
    Variant(Box<Cases>),
    Enum(Box<Cases>),
}

#[derive(Debug)]
pub(crate) struct RecordPlan {
    pub(crate) fields: Box<[FieldPlan]>,
    pub(crate) names: Names,
}

#[derive(Debug)]
pub(crate) struct FieldPlan {
    /// The name in JSON.
    pub(crate) name: Box<str>,
    /// `{"name":` for the first field, `,"name":` for the others.
    pub(crate) opening: Box<[u8]>,
    pub(crate) plan: Plan,
}

impl FieldPlan {
    /// `"name"`
    #[inline]
    pub(crate) fn key(&self) -> &[u8] {
        &self.opening[1..self.opening.len() - 1]
    }

    #[inline]
    pub(crate) fn is_option(&self) -> bool {
        matches!(self.plan, Plan::Option(_))
    }
}

/// The cases of a variant, an enum or a result.
#[derive(Debug)]
pub(crate) struct Cases {
    pub(crate) cases: Box<[CasePlan]>,
    pub(crate) names: Names,
}

#[derive(Debug)]
pub(crate) struct CasePlan {
    /// The name in JSON.
    pub(crate) name: Box<str>,
    /// `"name"` where the case carries nothing, `{"name":` where it does.
    pub(crate) opening: Box<[u8]>,
    pub(crate) plan: Option<Plan>,
}

/// Finds a member by its name.
#[derive(Debug)]
pub(crate) struct Names {
    /// In the order of the type.
    names: Box<[Box<str>]>,
    /// Indices by name.
    sorted: Box<[u32]>,
}

impl Names {
    fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let names: Box<[Box<str>]> = names.map(Box::from).collect();
        let mut sorted: Box<[u32]> = (0..).take(names.len()).collect();
        sorted.sort_by_key(|index| &names[*index as usize]);
        Self { names, sorted }
    }

    pub(crate) fn find(&self, name: &[u8]) -> Option<usize> {
        const FEW: usize = 16;
        if self.names.len() <= FEW {
            return self.names.iter().position(|other| other.as_bytes() == name);
        }
        let at = self.sorted.binary_search_by(|index| self.names[*index as usize].as_bytes().cmp(name)).ok()?;
        Some(self.sorted[at] as usize)
    }

    /// The names in the order of the type.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> + Clone {
        self.names.iter().map(Box::as_ref)
    }
}

impl Plan {
    pub(crate) fn of(ty: &Type) -> Self {
        match ty {
            Type::Bool => Self::Bool,
            Type::U8 => Self::U8,
            Type::S8 => Self::S8,
            Type::U16 => Self::U16,
            Type::S16 => Self::S16,
            Type::U32 => Self::U32,
            Type::S32 => Self::S32,
            Type::U64 => Self::U64,
            Type::S64 => Self::S64,
            Type::F32 => Self::F32,
            Type::F64 => Self::F64,
            Type::Char => Self::Char,
            Type::String => Self::String,
            Type::Bytes => Self::Bytes,
            Type::List(inner) => Self::List(Box::new(Self::of(inner))),
            Type::Option(inner) => Self::Option(Box::new(Self::of(inner))),
            Type::Result { ok, err } => {
                let case = |name, ty: &Option<std::sync::Arc<Type>>| CasePlan {
                    name: Box::from(name),
                    opening: format!("{{\"{name}\":").into_bytes().into(),
                    plan: ty.as_deref().map(Self::of),
                };
                Self::Result(Box::new(Cases::new(vec![case("ok", ok), case("err", err)])))
            }
            Type::Tuple(types) => Self::Tuple(types.iter().map(Self::of).collect()),
            Type::Record(record) => {
                let fields = record.fields.iter().enumerate().map(|(index, field)| FieldPlan {
                    name: field.snake_name.as_str().into(),
                    opening: format!("{}\"{}\":", if index == 0 { '{' } else { ',' }, field.snake_name)
                        .into_bytes()
                        .into(),
                    plan: Self::of(&field.ty),
                });
                let names = Names::new(record.fields.iter().map(|field| field.snake_name.as_str()));
                Self::Record(Box::new(RecordPlan { fields: fields.collect(), names }))
            }
            Type::Variant(variant) => {
                let cases = variant.cases.iter().map(|case| CasePlan::new(&case.snake_name, case.ty.as_ref()));
                Self::Variant(Box::new(Cases::new(cases.collect())))
            }
            Type::Enum(an_enum) => {
                let cases = an_enum.cases.iter().map(|case| CasePlan::new(&case.snake_name, None));
                Self::Enum(Box::new(Cases::new(cases.collect())))
            }
        }
    }
}

impl Cases {
    fn new(cases: Vec<CasePlan>) -> Self {
        let names = Names::new(cases.iter().map(|case| case.name.as_ref()));
        Self { cases: cases.into(), names }
    }
}

impl CasePlan {
    fn new(name: &str, ty: Option<&Type>) -> Self {
        let opening = if ty.is_some() { format!("{{\"{name}\":") } else { format!("\"{name}\"") };
        Self { name: name.into(), opening: opening.into_bytes().into(), plan: ty.map(Plan::of) }
    }
}
