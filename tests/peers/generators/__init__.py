"""A module a package: CLASSES maps a class's name in perceive to a ModelClass. `check` lists the packages and versions."""
