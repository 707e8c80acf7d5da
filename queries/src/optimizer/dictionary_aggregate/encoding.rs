//! Encodes group values as numbers, and groups as the combination of their values' numbers.

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

/// Maximum number of group columns: a group key is 128 bits, 32 for each column.
pub(super) const COLUMNS_MAX: usize = 4;
/// Number of groups at which the partial result is emitted and the numbering restarts.
const GROUPS_MAX: usize = 65_536;

/// Slots of [`LookupCache`]. A hit costs one comparison, a miss a lookup in the hash table.
const SLOTS: usize = 4096;

/// The groups of the rows seen since the last [`GroupTable::drain`].
pub(super) struct GroupTable {
    by: Vec<GroupColumn>,
    numbers: HashMap<u128, u32>,
    recent: LookupCache,
    /// Keys of the groups, indexed by group number.
    keys: Vec<u128>,
    /// The group key of each row of the last batch. Kept between batches to reuse the memory.
    row_keys: Vec<u128>,
    row_groups: Vec<usize>,
}

impl GroupTable {
    /// A table of groups by the expressions `by`, each emitted with the type of its field.
    pub(super) fn new<'a>(
        by: impl Iterator<Item = &'a Arc<dyn PhysicalExpr>>,
        fields: impl Iterator<Item = &'a Arc<Field>>,
    ) -> Self {
        let by =
            by.zip(fields).map(|(by, field)| GroupColumn::new(by, field.data_type())).collect();
        let (numbers, recent) = (HashMap::default(), LookupCache::default());
        Self { by, numbers, recent, keys: Vec::new(), row_keys: Vec::new(), row_groups: Vec::new() }
    }

    /// Assigns a group number to each row of `batch`.
    pub(super) fn assign(&mut self, batch: &RecordBatch) -> Result<(), DataFusionError> {
        self.row_keys.clear();
        self.row_keys.resize(batch.num_rows(), 0);
        self.by.iter_mut().try_for_each(|by| by.number(batch, &mut self.row_keys))?;
        self.row_groups.clear();
        for &key in &self.row_keys {
            let number = self.recent.number(key, || {
                *self.numbers.entry(key).or_insert_with(|| {
                    self.keys.push(key);
                    self.keys.len() as u32 - 1
                })
            });
            self.row_groups.push(number as usize);
        }
        Ok(())
    }

    /// The group number of each row of the last batch.
    pub(super) fn row_groups(&self) -> &[usize] {
        &self.row_groups
    }

    /// Number of groups.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// True where the groups must be emitted.
    pub(super) fn is_full(&self) -> bool {
        self.len() >= GROUPS_MAX
    }

    /// Approximate memory, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let groups = self.numbers.capacity() * size_of::<(u128, u32)>()
            + self.keys.capacity() * size_of::<u128>();
        let rows = self.row_keys.capacity() * size_of::<u128>()
            + self.row_groups.capacity() * size_of::<usize>();
        groups
            + rows
            + self.recent.bytes()
            + self.by.iter().map(|by| by.values.bytes()).sum::<usize>()
    }

    /// Returns the values of each group, one array per column, and forgets all groups.
    pub(super) fn drain(&mut self) -> Result<Vec<ArrayRef>, DataFusionError> {
        self.numbers.clear();
        self.recent.clear();
        let keys = std::mem::take(&mut self.keys);
        let mut columns = Vec::with_capacity(self.by.len());
        for (at, by) in self.by.iter_mut().rev().enumerate() {
            // The number of the last column is in the lowest 32 bits.
            let numbers: UInt32Array =
                keys.iter().map(|key| Some((key >> (32 * at)) as u32)).collect();
            columns.push(cast(&take(&by.values.drain(), &numbers, None)?, &by.data_type)?);
        }
        columns.reverse();
        Ok(columns)
    }
}

/// A group column: its expression, and the numbers of its values.
struct GroupColumn {
    expression: Arc<dyn PhysicalExpr>,
    data_type: DataType,
    values: ValueDictionary,
}

impl GroupColumn {
    /// A text column is numbered as it is. `x / n` is numbered by its quotient without dividing
    /// every row; any other integer or time is a quotient with the divisor 1.
    fn new(expression: &Arc<dyn PhysicalExpr>, data_type: &DataType) -> Self {
        let data_type = data_type.clone();
        if data_type == DataType::Utf8View {
            return Self {
                expression: Arc::clone(expression),
                data_type,
                values: ValueDictionary::Texts(TextDictionary::default()),
            };
        }
        let (expression, divisor) = division(expression).unwrap_or((expression, 1));
        Self {
            expression: Arc::clone(expression),
            data_type,
            values: ValueDictionary::Integers(IntegerDictionary::new(divisor)),
        }
    }

    /// Appends the number of each row's value to its group key: shifts the key by 32 bits and adds
    /// the number.
    fn number(
        &mut self,
        batch: &RecordBatch,
        row_keys: &mut [u128],
    ) -> Result<(), DataFusionError> {
        let column = self.expression.evaluate(batch)?.into_array(batch.num_rows())?;
        match &mut self.values {
            ValueDictionary::Texts(texts) => texts.number(column.as_string_view(), row_keys),
            ValueDictionary::Integers(integers) => {
                integers.number(cast(&column, &DataType::Int64)?.as_primitive(), row_keys)
            }
        }
        Ok(())
    }
}

/// Dividend and divisor, where `expression` is a division by a positive literal.
fn division(expression: &Arc<dyn PhysicalExpr>) -> Option<(&Arc<dyn PhysicalExpr>, i64)> {
    let division = expression
        .downcast_ref::<BinaryExpr>()
        .filter(|binary| *binary.op() == Operator::Divide)?;
    match division.right().downcast_ref::<Literal>()?.value() {
        ScalarValue::Int64(Some(divisor)) if *divisor > 0 => Some((division.left(), *divisor)),
        _ => None,
    }
}

/// Values of a group column, indexed by number. NULL has a number, too.
enum ValueDictionary {
    Texts(TextDictionary),
    Integers(IntegerDictionary),
}

impl ValueDictionary {
    /// Returns the values, indexed by number, and forgets them.
    fn drain(&mut self) -> ArrayRef {
        match self {
            Self::Texts(texts) => Arc::new(StringViewArray::from_iter(std::mem::take(texts).texts)),
            Self::Integers(integers) => Arc::new(Int64Array::from(integers.drain())),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Texts(texts) => texts.bytes(),
            Self::Integers(integers) => integers.bytes(),
        }
    }
}

/// Distinct texts and their numbers.
#[derive(Default)]
struct TextDictionary {
    texts: Vec<Option<String>>,
    null: Option<u32>,
    numbers: HashMap<String, u32>,
    /// Numbers by string view. A view identifies its text while `buffers` are unchanged: it holds a
    /// short text itself, and points into a buffer for a long one.
    recent: LookupCache,
    /// Buffers of the last batch. Holding them keeps their memory from being reused for other
    /// texts.
    buffers: Vec<Buffer>,
    bytes: usize,
}

impl TextDictionary {
    fn number(&mut self, column: &StringViewArray, row_keys: &mut [u128]) {
        let buffers = column.data_buffers();
        let is_same = |(a, b): (&Buffer, &Buffer)| a.as_ptr() == b.as_ptr() && a.len() == b.len();
        if buffers.len() != self.buffers.len() || !buffers.iter().zip(&self.buffers).all(is_same) {
            self.recent.clear();
            self.buffers = buffers.to_vec();
        }
        let (texts, null, numbers, bytes) =
            (&mut self.texts, &mut self.null, &mut self.numbers, &mut self.bytes);
        for (row, (&view, row_key)) in column.views().iter().zip(row_keys).enumerate() {
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
            *row_key = *row_key << 32 | u128::from(number);
        }
    }

    fn bytes(&self) -> usize {
        let entries = size_of::<(String, u32)>() + size_of::<Option<String>>();
        self.bytes + self.numbers.capacity() * entries + self.recent.bytes()
    }
}

/// Distinct quotients of integers or timestamps, and their numbers.
struct IntegerDictionary {
    divisor: i64,
    quotients: Vec<Option<i64>>,
    null: Option<u32>,
    numbers: HashMap<i64, u32>,
    recent: LookupCache,
    /// First and last value with the last quotient, and its number. Rows are roughly ordered by
    /// time, so most rows have the same quotient as the row before.
    last: (i64, i64, u32),
}

impl IntegerDictionary {
    fn new(divisor: i64) -> Self {
        let (quotients, numbers, recent) = (Vec::new(), HashMap::default(), LookupCache::default());
        Self { divisor, quotients, null: None, numbers, recent, last: (i64::MAX, i64::MIN, 0) }
    }

    fn number(&mut self, column: &Int64Array, row_keys: &mut [u128]) {
        for (row, (&value, row_key)) in column.values().iter().zip(row_keys).enumerate() {
            let number = if column.is_null(row) {
                *self.null.get_or_insert_with(|| add(&mut self.quotients, None))
            } else {
                if value < self.last.0 || value > self.last.1 {
                    self.last = self.find(value / self.divisor);
                }
                self.last.2
            };
            *row_key = *row_key << 32 | u128::from(number);
        }
    }

    /// First and last value with this quotient, and its number.
    fn find(&mut self, quotient: i64) -> (i64, i64, u32) {
        let search = || {
            *self
                .numbers
                .entry(quotient)
                .or_insert_with(|| add(&mut self.quotients, Some(quotient)))
        };
        let number = self.recent.number(u128::from(quotient as u64), search);
        // Integer division rounds towards zero.
        let (boundary, reach) = (quotient * self.divisor, self.divisor - 1);
        let first = if quotient > 0 { boundary } else { boundary.saturating_sub(reach) };
        let last = if quotient < 0 { boundary } else { boundary.saturating_add(reach) };
        (first, last, number)
    }

    /// Returns the quotients, indexed by number, and forgets them.
    fn drain(&mut self) -> Vec<Option<i64>> {
        std::mem::replace(self, Self::new(self.divisor)).quotients
    }

    fn bytes(&self) -> usize {
        self.quotients.capacity() * size_of::<Option<i64>>()
            + self.numbers.capacity() * size_of::<(i64, u32)>()
            + self.recent.bytes()
    }
}

/// Appends `value` and returns its number.
fn add<T>(values: &mut Vec<Option<T>>, value: Option<T>) -> u32 {
    values.push(value);
    values.len() as u32 - 1
}

/// Direct-mapped cache of recent lookups: one slot for each hash value.
struct LookupCache {
    slots: Box<[CacheSlot]>,
}

/// A slot of the cache.
#[derive(Clone, Copy)]
struct CacheSlot {
    key: u128,
    /// [`u32::MAX`] where the slot is empty.
    number: u32,
}

const EMPTY: CacheSlot = CacheSlot { key: 0, number: u32::MAX };

impl Default for LookupCache {
    fn default() -> Self {
        Self { slots: vec![EMPTY; SLOTS].into() }
    }
}

impl LookupCache {
    /// The number of `key`, from the cache or from `search`.
    #[inline]
    fn number(&mut self, key: u128, search: impl FnOnce() -> u32) -> u32 {
        // Fibonacci hashing: the upper bits depend on all bits of the key.
        let folded = ((key >> 64) as u64 ^ key as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let slot = &mut self.slots[(folded >> (64 - SLOTS.ilog2())) as usize];
        if slot.key != key || slot.number == u32::MAX {
            *slot = CacheSlot { key, number: search() };
        }
        slot.number
    }

    fn clear(&mut self) {
        self.slots.fill(EMPTY);
    }

    fn bytes(&self) -> usize {
        size_of_val(&*self.slots)
    }
}
