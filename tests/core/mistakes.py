"""Mistakes of a plugin's author, each in the plugin of ``wrong_plugin``, and what ``check`` says of it."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["MISTAKES", "PLUGIN", "Mistake"]


class Mistake(NamedTuple):
    """What stands in a file, and what an author writes in its place; and what is said of the plugin then."""

    file: str
    right: str
    wrong: str
    said: str


PLUGIN, SERVICE, ROUTER, PORT = "plugin.py", "service.py", "router.py", "gifts.py"
SQL = "migrations/postgres/0001_gifts.sql"

MISTAKES = {
    "a hook without its mark": Mistake(
        PLUGIN,
        "@hookimpl\ndef jobs():",
        "def jobs():",
        "the function jobs (acme_gifts/plugin.py:41) has the name of the hook 'jobs' and is not marked as one; "
        "write @hookimpl above it, or call it otherwise",
    ),
    "info without its mark": Mistake(
        PLUGIN,
        "@hookimpl\ndef info():",
        "def info():",
        "the function info (acme_gifts/plugin.py:16) has the name of the hook 'info' and is not marked as one; "
        "write @hookimpl above it, or call it otherwise",
    ),
    "routers that return nothing": Mistake(
        PLUGIN,
        "    return router.routers(context.port(Gifts))",
        "    router.routers(context.port(Gifts))",
        "its hook 'routers', routers (acme_gifts/plugin.py:33), returns nothing; "
        "return what it is asked for, or leave the hook out",
    ),
    "a provider that returns nothing": Mistake(
        PLUGIN,
        "    return GiftsService(",
        "    GiftsService(",
        "its hook 'provide_gifts', provide_gifts (acme_gifts/plugin.py:28), returns nothing; "
        "return what it is asked for, or leave the hook out",
    ),
    "a provider of something else": Mistake(
        PLUGIN,
        "    return GiftsService(context.units, context.store(STORES), context.port(Catalog), given)",
        "    return Other()",
        "its hook 'provide_gifts', provide_gifts (acme_gifts/plugin.py:28), gives a Other, which is no Gifts; "
        "derive the class from Gifts",
    ),
    "a service that lacks a method": Mistake(
        SERVICE,
        "    async def list_gifts(",
        "    async def list_gift(",
        "its hook 'provide_gifts' failed (TypeError: Can't instantiate abstract class GiftsService with abstract method "
        "list_gifts, at acme_gifts/plugin.py:31); mend it there, or tell the plugin's author",
    ),
    "a body of no type": Mistake(
        ROUTER,
        "body: Wish",
        "body",
        "its hook 'routers' failed (RouteError: POST /gifts: the handler give takes 'body' and does not say of which type, at "
        "acme_gifts/router.py:12); annotate it with a msgspec.Struct",
    ),
    "an answer of no type": Mistake(
        ROUTER,
        "async def give(request: Request, body: Wish) -> Gift:",
        "async def give(request: Request, body: Wish):",
        "its hook 'routers' failed (RouteError: POST /gifts: the handler give does not say what it answers, at "
        "acme_gifts/router.py:12); annotate its return, with None for no content",
    ),
    "an unknown audience": Mistake(
        ROUTER,
        'Router("buyer", "gifts")',
        'Router("byer", "gifts")',
        "its hook 'routers' failed (RouteError: Router 'gifts': there is no audience 'byer', at acme_gifts/router.py:6); "
        "did you mean 'buyer'?",
    ),
    "an unknown access": Mistake(
        ROUTER,
        'access="account"',
        'access="acount"',
        "its hook 'routers' failed (RouteError: GET /gifts: there is no access 'acount', at acme_gifts/router.py:8); "
        "did you mean 'account'?",
    ),
    "an unknown method": Mistake(
        ROUTER,
        "@buyer.post(",
        "@buyer.pots(",
        "its hook 'routers' failed (RouteError: a Router has no method 'pots', at acme_gifts/router.py:12); "
        "did you mean 'post'?",
    ),
    "a port that is not named": Mistake(
        PLUGIN,
        'requires=("catalog",), ',
        "",
        "provide_gifts (acme_gifts/plugin.py:31) asks for the port of 'catalog', which info() does not name; "
        "add 'catalog' to requires there",
    ),
    "a port that is not named, in passing": Mistake(
        PLUGIN,
        "context.port(Catalog), given)",
        "context.port(Catalog), given if context.optional_port(Auth) else given)",
        "provide_gifts (acme_gifts/plugin.py:31) asks for the port of 'auth', which info() does not name; "
        "add 'auth' to uses there",
    ),
    "a handler with a result": Mistake(
        SERVICE,
        "(self, uow: UnitOfWork, event: ProductChanged) -> None: ...",
        "(self, uow: UnitOfWork, event: ProductChanged) -> bool: return True",
        "the handler GiftsService.on_product_changed (acme_gifts/service.py:29) has a result, which nobody is given; "
        "let it return None, and emit an event of what came of it",
    ),
    "a handler of another event": Mistake(
        SERVICE,
        "@handler(ProductChanged)",
        "@handler(GiftGiven)",
        "the handler GiftsService.on_product_changed (acme_gifts/service.py:29) is given GiftGiven and takes ProductChanged; "
        "let the two be the same",
    ),
    "a handler that is not async": Mistake(
        SERVICE,
        "    async def on_product_changed(",
        "    def on_product_changed(",
        "the handler GiftsService.on_product_changed (acme_gifts/service.py:29) is not async; write it as async def",
    ),
    "a subscription that is no handler": Mistake(
        PLUGIN,
        "return [GiftsService.on_product_changed]",
        "return [GiftsService.tidy]",
        "its hook 'subscriptions' gives GiftsService.tidy (acme_gifts/service.py:35), which is no handler; "
        "write @handler(TheEvent) above the method",
    ),
    "a job whose method takes no args": Mistake(
        PLUGIN,
        'Job("gifts.wrap", GiftsService.wrap, Wrap)',
        'Job("gifts.wrap", GiftsService.tidy, Wrap)',
        "the method of the job 'gifts.wrap', GiftsService.tidy (acme_gifts/service.py:35), does not fit (too many positional "
        "arguments); let it take itself and the job's args",
    ),
    "a job without the args of its method": Mistake(
        PLUGIN,
        'Job("gifts.wrap", GiftsService.wrap, Wrap)',
        'Job("gifts.wrap", GiftsService.wrap)',
        "the method of the job 'gifts.wrap', GiftsService.wrap (acme_gifts/service.py:32), does not fit (missing a required "
        "argument: 'args'); let it take nothing but itself",
    ),
    "a job of another's name": Mistake(
        PLUGIN,
        'Job("gifts.wrap"',
        'Job("wrap"',
        "the job 'wrap' does not bear its name; call it 'gifts.wrap'",
    ),
    "a schedule of another's method": Mistake(
        PLUGIN,
        'Schedule("gifts.tidy", GiftsService.tidy',
        'Schedule("gifts.tidy", Other.tidy',
        "the schedule 'gifts.tidy' is done by Other.tidy (acme_gifts/service.py:40), and the service is GiftsService; "
        "name a method of the service",
    ),
    "a schedule that is not async": Mistake(
        SERVICE,
        "    async def tidy(self) -> None: ...\n\n    async def watch",
        "    def tidy(self) -> None: ...\n\n    async def watch",
        "the method of the schedule 'gifts.tidy', GiftsService.tidy (acme_gifts/service.py:35), is not async; "
        "write it as async def",
    ),
    "a schedule every number": Mistake(
        PLUGIN,
        "timedelta(hours=1)",
        "7",
        "its hook 'schedules' failed (TypeError: the schedule 'gifts.tidy' has every=7, write "
        "timedelta(seconds=7), at acme_gifts/plugin.py:47); mend it there, or tell the plugin's author",
    ),
    "a schedule every nothing": Mistake(
        PLUGIN,
        "timedelta(hours=1)",
        "timedelta()",
        "its hook 'schedules' failed (ValueError: the schedule 'gifts.tidy' needs every above 0, at acme_gifts/plugin.p"
        "y:47); mend it there, or tell the plugin's author",
    ),
    "jobs among schedules": Mistake(
        PLUGIN,
        'return [Schedule("gifts.tidy", GiftsService.tidy, timedelta(hours=1))]',
        'return [Job("gifts.tidy", GiftsService.tidy)]',
        "its hook 'schedules' gives a Job among its items; return a list of Schedule",
    ),
    "a job that nobody declares": Mistake(
        SERVICE,
        'uow.enqueue("gifts.wrap"',
        'uow.enqueue("gifts.warp"',
        "give (acme_gifts/service.py:25) queues the job 'gifts.warp', which the plugin does not declare; "
        "did you mean 'gifts.wrap'?",
    ),
    "an error that nobody declares": Mistake(
        SERVICE,
        'Conflict("gifts.gone"',
        'Conflict("gifts.went"',
        "give (acme_gifts/service.py:23) raises 'gifts.went', which is no declared error code; did you mean 'gifts.gone'?",
    ),
    "a table of nobody's schema": Mistake(
        SQL,
        "CREATE TABLE gifts.gifts",
        "CREATE TABLE IF NOT EXISTS gifts",
        "its migration 1, 'gifts', touches gifts, outside of its schema; write gifts.gifts",
    ),
    "a table of another's schema": Mistake(
        SQL,
        "CREATE INDEX ON gifts.gifts (id)",
        'CREATE INDEX of_theirs ON catalog."variants" (id)',
        'its migration 1, \'gifts\', touches catalog."variants", outside of its schema; write gifts."variants"',
    ),
    "labels that are a text": Mistake(
        PLUGIN,
        '("wrapped",)',
        '"wrapped"',
        "its hook 'provide_gifts' failed (ValueError: the labels of marketplace_gifts_given are the text 'wrapped', write "
        "('wrapped',), at acme_gifts/plugin.py:30); mend it there, or tell the plugin's author",
    ),
    "a label of many values": Mistake(
        PLUGIN,
        '("wrapped",)',
        '("account_id",)',
        "its hook 'provide_gifts' failed (ValueError: marketplace_gifts_given has the label 'account_id', of which each value "
        "would be a series of its own, at acme_gifts/plugin.py:30); mend it there, or tell the plugin's author",
    ),
    "a label that cannot be": Mistake(
        PLUGIN,
        '("wrapped",)',
        '("wrapped-up",)',
        "its hook 'provide_gifts' failed (ValueError: marketplace_gifts_given has 'wrapped-up', and names are of letters, "
        "digits and underscores, at acme_gifts/plugin.py:30); "
        "mend it there, or tell the plugin's author",
    ),
    "a port method without a mark": Mistake(
        PORT,
        "    @query\n",
        "",
        "the port method Gifts.list_gifts (acme_gifts/gifts.py:26) has no mark; "
        "write @query, or @mutation(retriable=...), below @abstractmethod",
    ),
    "a port method that is not abstract": Mistake(
        PORT,
        "    @abstractmethod\n    @query\n",
        "    @query\n",
        "the port method Gifts.list_gifts (acme_gifts/gifts.py:26) is not abstract, so that no other process can call it; "
        "write @abstractmethod above it",
    ),
    "a port method of no type": Mistake(
        PORT,
        "async def list_gifts(self, account_id: str)",
        "async def list_gifts(self, account_id)",
        "the port method Gifts.list_gifts (acme_gifts/gifts.py:26) does not say the type of 'account_id'; "
        "annotate its arguments and its answer",
    ),
    "a port of another name": Mistake(
        PORT,
        "class Gifts(ABC):",
        "class Presents(ABC):\n    pass\n\nclass Gift_(ABC):",
        "the plugin 'gifts' cannot be imported (ImportError: cannot import name 'Gifts' from 'acme_gifts.gifts' "
        "({folder}/acme_gifts/gifts.py), at acme_gifts/router.py:3); install it anew, or take it out of the file",
    ),
    "a key that is not there, at import": Mistake(
        PLUGIN,
        "STORES = {",
        'HOME = {}["home"]\nSTORES = {',
        "the plugin 'gifts' cannot be imported (KeyError: 'home', at acme_gifts/plugin.py:14); "
        "install it anew, or take it out of the file",
    ),
    "a line that cannot be read": Mistake(
        SERVICE,
        "class GiftsService(Gifts):",
        "class GiftsService(Gifts)",
        "the plugin 'gifts' cannot be imported (SyntaxError: expected ':' (service.py, line 13), at acme_gifts/service.py:13); "
        "install it anew, or take it out of the file",
    ),
    "a hook that fails": Mistake(
        PLUGIN,
        "    return GiftsConfig",
        "    return GiftsCofig",
        "its hook 'settings' failed (NameError: name 'GiftsCofig' is not defined, at acme_gifts/plugin.py:22); "
        "mend it there, or tell the plugin's author",
    ),
    "a store that nobody makes": Mistake(
        PLUGIN,
        'STORES = {"postgres"',
        'STORES = {"postgre"',
        "its hook 'provide_gifts' failed (LookupError: it makes 'postgre', and info() offers the store 'postgres', at "
        "acme_gifts/plugin.py:31); mend it there, or tell the plugin's author",
    ),
}
