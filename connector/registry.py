"""From an adapter's name in the config to the adapter: found by entry point, handed its own checked Settings.

Ours are registered the same way as anybody's. Nothing is opened here, and one adapter that is missing or broken never
keeps the others from loading. Two packages that claim one name are refused, never chosen between.
"""

from collections.abc import Mapping
from dataclasses import is_dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar, cast

from connector.config import PORTAL_KEYS, AdapterSection, Config, Kind
from connector.config_shape import Problems, Where, closest, shape
from connector.errors import ConfigError
from connector.interfaces import AdminSystem, Directory, Portal, Provisioner, SessionStore, Site

A = TypeVar("A")

GROUPS: Mapping[Kind, str] = {
    Kind.ADMIN_SYSTEM: "connector.admin_systems",
    Kind.DIRECTORY: "connector.directories",
    Kind.PORTAL: "connector.portals",
    Kind.SESSION_STORE: "connector.session_stores",
}
"""The entry point group of each kind of adapter."""


def installed(kind: Kind) -> tuple[str, ...]:
    """Give the names of the adapters of one kind that are installed, sorted."""
    return tuple(sorted({point.name for point in entry_points(group=GROUPS[kind])}))


def validate(config: Config) -> None:
    """Check every adapter section as far as it goes without opening anything. Raises ConfigError with all problems."""
    problems = Problems(config.path)
    for section in config.sections:
        adapter = _made(section, config.site, problems)
        if adapter is not None and not isinstance(adapter, Provisioner) and _is_provisioned(config, section):
            where = ("scim", str(section.kind), section.name)
            problems.add_table(
                where, f"cannot be used: the adapter {section.adapter!r} cannot make or change accounts."
            )
    problems.refuse_any()


def _is_provisioned(config: Config, section: AdapterSection) -> bool:
    """Say whether accounts or groups of this directory are to be written for identity providers."""
    if config.scim is None or section.kind is not Kind.DIRECTORY:
        return False
    return section.name in {*config.scim.directories, *(group.directory for group in config.scim.groups.values())}


def open_admin_system(config: Config) -> AdminSystem:
    """Make the admin system's adapter. Like all adapters it opens nothing before its first call."""
    return _opened(config, config.admin_system, AdminSystem)  # type: ignore[type-abstract] # a Protocol, for isinstance


def open_directories(config: Config) -> dict[str, Directory]:
    """Make the directories' adapters, by section name."""
    return {each.name: _opened(config, each, Directory) for each in config.directories}  # type: ignore[type-abstract] # as above


def open_portals(config: Config) -> dict[str, Portal]:
    """Make the portals' adapters, by section name; their rules are `config.portal_rules`."""
    return {each.name: _opened(config, each, Portal) for each in config.portals}  # type: ignore[type-abstract] # as above


def open_session_stores(config: Config) -> dict[str, SessionStore]:
    """Make the session stores' adapters, by section name."""
    return {each.name: _opened(config, each, SessionStore) for each in config.session_stores}  # type: ignore[type-abstract] # as above


def _opened(config: Config, section: AdapterSection, protocol: type[A]) -> A:
    problems = Problems(config.path)
    adapter = _made(section, config.site, problems)
    problems.refuse_any()
    if not isinstance(adapter, protocol):
        raise ConfigError(
            f"The adapter {section.adapter!r} is no {protocol.__name__}: a method of that Protocol is missing.",
            "Install a version of it made for this connector.",
        )
    return adapter


def _made(section: AdapterSection, site: Site, problems: Problems) -> object | None:
    """Make the adapter of a section, or note why not. Making one opens nothing: that is the contract of adapters."""
    adapter_class = _adapter_class(section, problems)
    if adapter_class is None:
        return None
    neighbours = ("adapter", *PORTAL_KEYS) if section.kind is Kind.PORTAL else ("adapter",)
    settings = shape(adapter_class.Settings, section.settings, section.where, problems, neighbours=neighbours)
    if settings is None:
        return None
    try:
        return cast("object", adapter_class(section.name, settings, site))
    except ConfigError as error:
        problems.add_table(section.where, f"is not usable: {error}")
    except OverflowError:
        problems.add_table(section.where, "is not usable: a number in it is far too large.")
    return None


def _adapter_class(section: AdapterSection, problems: Problems) -> Any:
    where = (*section.where, "adapter")
    points = {point.value: point for point in entry_points(group=GROUPS[section.kind], name=section.adapter)}
    if not points:
        problems.add(where, _not_installed(section))
    elif len(points) > 1:
        problems.add(where, f"is claimed by several packages: {', '.join(sorted(points))}. Uninstall all but one.")
    else:
        return _loaded(next(iter(points.values())), where, problems)
    return None


def _not_installed(section: AdapterSection) -> str:
    names = installed(section.kind)
    meant = "".join(f" Did you mean {name!r}?" for name in closest(section.adapter, names))
    return f"is not an installed adapter.{meant} Installed: {', '.join(names) or 'none'}."


def _loaded(point: EntryPoint, where: Where, problems: Problems) -> Any:
    try:
        adapter_class = point.load()
    except Exception as error:  # noqa: BLE001 - somebody else's package: whatever it raises must not hide the rest
        problems.add(where, f"cannot be loaded from {point.value}: {error}. Reinstall its package.")
        return None
    if not is_dataclass(getattr(adapter_class, "Settings", None)):
        problems.add(where, f"is no adapter: {point.value} has no Settings dataclass.")
        return None
    return adapter_class
