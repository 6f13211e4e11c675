"""The solved catalogue: Hugging Face model types, from their `config.json` alone.

For each model type the data says which tensors a new model has, and each one's dimensions and
initial distribution as expressions of config fields. They were solved from builds of the real
library and checked on configs that took no part in it (`scripts/catalogue`); a type, a field or a
value that was not studied is refused.
"""

from seedbed.models.catalogue.engine import build, types

__all__ = ["build", "types"]
