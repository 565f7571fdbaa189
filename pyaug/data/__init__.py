"""Data sets: known ones by name, folders, arrays, any torch Dataset; and their batches."""

from pyaug.data.collate import Collate, Indexed
from pyaug.data.from_torch import from_dataset
from pyaug.data.loader import Batch, Loader, order
from pyaug.data.loading import load, names
from pyaug.data.sets import DataSet, Lazy, Split, check_classes
from pyaug.data.stratified import stratified_index, stratified_splits, stratified_subset

__all__ = [
    "Batch",
    "Collate",
    "DataSet",
    "Indexed",
    "Lazy",
    "Loader",
    "Split",
    "check_classes",
    "from_dataset",
    "load",
    "names",
    "order",
    "stratified_index",
    "stratified_splits",
    "stratified_subset",
]
