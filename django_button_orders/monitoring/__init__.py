"""How the reporting goes: figures, limits and alerts, for people and for monitors."""
