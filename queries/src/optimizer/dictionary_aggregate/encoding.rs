//! Values and groups by numbers.

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringViewArray, UInt32Array,
};
use datafusion::arrow::buffer::Buffer;
use datafusion::arrow::compute::{cast, take};
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::{HashMap, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Literal};
use std::sync::Arc;

/// A group is known by the numbers of its values, 32 bits each.
pub(super) const COLUMNS_MAX: usize = 4;
/// So many groups are given on, and numbered anew.
const GROUPS_MAX: usize = 65_536;

/// Slots of [`LookupCache`]: what is found there costs a comparison, the rest a search.
const SLOTS: usize = 4096;

/// The groups of the rows seen.
pub(super) struct Groups {
    by: Vec<By>,
    groups: HashMap<u128, u32>,
    recent: LookupCache,
    /// The groups in order of their numbers.
    keys: Vec<u128>,
    /// Of each row of the last batch; kept, for they are large.
    of_rows: Vec<u128>,
    rows: Vec<usize>,
}

impl Groups {
    /// Groups by `by`, each given on as the field in its place.
    pub(super) fn new<'a>(
        by: impl Iterator<Item = &'a Arc<dyn PhysicalExpr>>,
        fields: impl Iterator<Item = &'a Arc<Field>>,
    ) -> Self {
        let by = by.zip(fields).map(|(by, field)| By::new(by, field.data_type())).collect();
        let (groups, recent) = (HashMap::default(), LookupCache::default());
        Self { by, groups, recent, keys: Vec::new(), of_rows: Vec::new(), rows: Vec::new() }
    }

    /// Finds the groups of the rows of `batch`.
    pub(super) fn take(&mut self, batch: &RecordBatch) -> Result<(), DataFusionError> {
        self.of_rows.clear();
        self.of_rows.resize(batch.num_rows(), 0);
        self.by.iter_mut().try_for_each(|by| by.number(batch, &mut self.of_rows))?;
        self.rows.clear();
        for &key in &self.of_rows {
            let number = self.recent.number(key, || {
                *self.groups.entry(key).or_insert_with(|| {
                    self.keys.push(key);
                    self.keys.len() as u32 - 1
                })
            });
            self.rows.push(number as usize);
        }
        Ok(())
    }

    /// The number of the group of each row taken last.
    pub(super) fn rows(&self) -> &[usize] {
        &self.rows
    }

    /// How many groups there are.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn are_many(&self) -> bool {
        self.len() >= GROUPS_MAX
    }

    /// Memory, about.
    pub(super) fn bytes(&self) -> usize {
        let groups = self.groups.capacity() * size_of::<(u128, u32)>()
            + self.keys.capacity() * size_of::<u128>();
        let rows =
            self.of_rows.capacity() * size_of::<u128>() + self.rows.capacity() * size_of::<usize>();
        groups
            + rows
            + self.recent.bytes()
            + self.by.iter().map(|by| by.values.bytes()).sum::<usize>()
    }

    /// The values of each group, column by column; none is known from here on.
    pub(super) fn emptied(&mut self) -> Result<Vec<ArrayRef>, DataFusionError> {
        self.groups.clear();
        self.recent.forget();
        let keys = std::mem::take(&mut self.keys);
        let mut columns = Vec::with_capacity(self.by.len());
        for (at, by) in self.by.iter_mut().rev().enumerate() {
            // The last column's number comes last.
            let numbers: UInt32Array =
                keys.iter().map(|key| Some((key >> (32 * at)) as u32)).collect();
            columns.push(cast(&take(&by.values.emptied(), &numbers, None)?, &by.data_type)?);
        }
        columns.reverse();
        Ok(columns)
    }
}

/// What rows are grouped by.
struct By {
    expression: Arc<dyn PhysicalExpr>,
    data_type: DataType,
    values: Values,
}

impl By {
    fn new(expression: &Arc<dyn PhysicalExpr>, data_type: &DataType) -> Self {
        let data_type = data_type.clone();
        if data_type == DataType::Utf8View {
            return Self {
                expression: Arc::clone(expression),
                data_type,
                values: Values::Texts(Texts::default()),
            };
        }
        let (expression, divisor) = divided(expression).unwrap_or((expression, 1));
        Self {
            expression: Arc::clone(expression),
            data_type,
            values: Values::IntegerDictionary(IntegerDictionary::new(divisor)),
        }
    }

    /// Puts the number of each row's value behind what `of_rows` has.
    fn number(&mut self, batch: &RecordBatch, of_rows: &mut [u128]) -> Result<(), DataFusionError> {
        let column = self.expression.evaluate(batch)?.into_array(batch.num_rows())?;
        match &mut self.values {
            Values::Texts(texts) => texts.number(column.as_string_view(), of_rows),
            Values::IntegerDictionary(wholes) => {
                wholes.number(cast(&column, &DataType::Int64)?.as_primitive(), of_rows)
            }
        }
        Ok(())
    }
}

/// What is divided by what, where `expression` says that.
fn divided(expression: &Arc<dyn PhysicalExpr>) -> Option<(&Arc<dyn PhysicalExpr>, i64)> {
    let division = expression
        .downcast_ref::<BinaryExpr>()
        .filter(|binary| *binary.op() == Operator::Divide)?;
    match division.right().downcast_ref::<Literal>()?.value() {
        ScalarValue::Int64(Some(divisor)) if *divisor > 0 => Some((division.left(), *divisor)),
        _ => None,
    }
}

/// The values of a column by number; NULL is one of them.
enum Values {
    Texts(Texts),
    IntegerDictionary(IntegerDictionary),
}

impl Values {
    /// What there was, by number.
    fn emptied(&mut self) -> ArrayRef {
        match self {
            Self::Texts(texts) => Arc::new(StringViewArray::from_iter(std::mem::take(texts).texts)),
            Self::IntegerDictionary(wholes) => Arc::new(Int64Array::from(wholes.emptied())),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Texts(texts) => texts.bytes(),
            Self::IntegerDictionary(wholes) => wholes.bytes(),
        }
    }
}

#[derive(Default)]
struct Texts {
    texts: Vec<Option<String>>,
    null: Option<u32>,
    numbers: HashMap<String, u32>,
    /// By view: of the texts that lie in `buffers`, and of those so short that a view holds all of them.
    recent: LookupCache,
    /// Held, so that nothing else comes to lie where they are.
    buffers: Vec<Buffer>,
    bytes: usize,
}

impl Texts {
    fn number(&mut self, column: &StringViewArray, of_rows: &mut [u128]) {
        let buffers = column.data_buffers();
        let is_same = |(a, b): (&Buffer, &Buffer)| a.as_ptr() == b.as_ptr() && a.len() == b.len();
        if buffers.len() != self.buffers.len() || !buffers.iter().zip(&self.buffers).all(is_same) {
            self.recent.forget();
            self.buffers = buffers.to_vec();
        }
        let (texts, null, numbers, bytes) =
            (&mut self.texts, &mut self.null, &mut self.numbers, &mut self.bytes);
        for (row, (&view, of_row)) in column.views().iter().zip(of_rows).enumerate() {
            let number = if column.is_null(row) {
                *null.get_or_insert_with(|| add(texts, None))
            } else {
                self.recent.number(view, || {
                    let text = column.value(row);
                    numbers.get(text).copied().unwrap_or_else(|| {
                        *bytes += 2 * text.len();
                        *numbers.entry(text.to_owned()).or_insert(add(texts, Some(text.to_owned())))
                    })
                })
            };
            *of_row = *of_row << 32 | u128::from(number);
        }
    }

    fn bytes(&self) -> usize {
        let entries = size_of::<(String, u32)>() + size_of::<Option<String>>();
        self.bytes + self.numbers.capacity() * entries + self.recent.bytes()
    }
}

/// Quotients of whole numbers, and of times as such.
struct IntegerDictionary {
    divisor: i64,
    wholes: Vec<Option<i64>>,
    null: Option<u32>,
    numbers: HashMap<i64, u32>,
    recent: LookupCache,
    /// First and last of what has the quotient found last, and its number: rows that follow each other are mostly of one time.
    last: (i64, i64, u32),
}

impl IntegerDictionary {
    fn new(divisor: i64) -> Self {
        let (wholes, numbers, recent) = (Vec::new(), HashMap::default(), LookupCache::default());
        Self { divisor, wholes, null: None, numbers, recent, last: (i64::MAX, i64::MIN, 0) }
    }

    fn number(&mut self, column: &Int64Array, of_rows: &mut [u128]) {
        for (row, (&whole, of_row)) in column.values().iter().zip(of_rows).enumerate() {
            let number = if column.is_null(row) {
                *self.null.get_or_insert_with(|| add(&mut self.wholes, None))
            } else {
                if whole < self.last.0 || whole > self.last.1 {
                    self.last = self.find(whole / self.divisor);
                }
                self.last.2
            };
            *of_row = *of_row << 32 | u128::from(number);
        }
    }

    /// What has this quotient, and its number.
    fn find(&mut self, quotient: i64) -> (i64, i64, u32) {
        let search = || {
            *self.numbers.entry(quotient).or_insert_with(|| add(&mut self.wholes, Some(quotient)))
        };
        let number = self.recent.number(u128::from(quotient as u64), search);
        // Division rounds towards zero.
        let (nearest, reach) = (quotient * self.divisor, self.divisor - 1);
        let first = if quotient > 0 { nearest } else { nearest.saturating_sub(reach) };
        let last = if quotient < 0 { nearest } else { nearest.saturating_add(reach) };
        (first, last, number)
    }

    /// The quotients by number; none is known from here on.
    fn emptied(&mut self) -> Vec<Option<i64>> {
        std::mem::replace(self, Self::new(self.divisor)).wholes
    }

    fn bytes(&self) -> usize {
        self.wholes.capacity() * size_of::<Option<i64>>()
            + self.numbers.capacity() * size_of::<(i64, u32)>()
            + self.recent.bytes()
    }
}

/// Gives `value` the next number.
fn add<T>(values: &mut Vec<Option<T>>, value: Option<T>) -> u32 {
    values.push(value);
    values.len() as u32 - 1
}

/// Numbers that were asked for last.
struct LookupCache {
    slots: Box<[Slot]>,
}

#[derive(Clone, Copy)]
struct Slot {
    key: u128,
    /// None yet: [`u32::MAX`].
    number: u32,
}

const EMPTY: Slot = Slot { key: 0, number: u32::MAX };

impl Default for LookupCache {
    fn default() -> Self {
        Self { slots: vec![EMPTY; SLOTS].into() }
    }
}

impl LookupCache {
    /// The number of `key`: the one that was given last, or what `search` finds.
    #[inline]
    fn number(&mut self, key: u128, search: impl FnOnce() -> u32) -> u32 {
        // Fibonacci hashing: the upper bits depend on all of them.
        let folded = ((key >> 64) as u64 ^ key as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let slot = &mut self.slots[(folded >> (64 - SLOTS.ilog2())) as usize];
        if slot.key != key || slot.number == u32::MAX {
            *slot = Slot { key, number: search() };
        }
        slot.number
    }

    fn forget(&mut self) {
        self.slots.fill(EMPTY);
    }

    fn bytes(&self) -> usize {
        size_of_val(&*self.slots)
    }
}
