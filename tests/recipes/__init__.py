"""
The recipes of ``docs/howto``, run with the packages that they are for.

``make test-shops`` runs them, with the extra ``recipes`` and the settings of this
package. ``pages`` runs the blocks of a page, so what is tested is what a reader copies.
"""
