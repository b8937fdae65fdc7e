"""From a save in the shop to a due row, in the shop's own transaction."""
