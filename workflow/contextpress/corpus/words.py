"""Short common English words for generated text; with a vocabulary of 2,000 or more each is about one token."""

# ruff: noqa: SIM905 - a list of words reads best as words
from __future__ import annotations

GRAMMAR_CHOICES = 48  # words in each class of the grammar

NOUNS = tuple(
    """man woman child boy girl king queen farmer doctor teacher writer driver sailor soldier baker singer hunter
    guard friend guest bird cat dog horse cow sheep pig fox bear wolf lion mouse fish duck bee ant tree river lake hill
    house road ship train cloud stone book door""".split()
)
VERBS = tuple(
    """sees hears finds loves fears helps calls leads meets moves stops turns holds keeps leaves takes brings follows
    watches paints draws knows likes wants needs beats pulls pushes lifts carries throws drops breaks mends builds
    cleans washes feeds visits trusts joins greets warns saves seeks blames hates serves""".split()
)
ADJECTIVES = tuple(
    """old young big small tall short long wide thin fat rich poor kind cruel happy sad angry calm loud quiet fast slow
    warm cold dark bright red green blue black white brown grey clean dirty heavy light strong weak brave shy proud
    clever silly new lost tired hungry""".split()
)
ADVERBS = tuple(
    """quickly slowly gently badly well often rarely never always once twice again soon later today gladly sadly kindly
    loudly quietly firmly softly neatly poorly boldly calmly safely barely nearly fully partly mostly early late daily
    yearly alone together away back forward outside inside upstairs abroad nearby everywhere somewhere""".split()
)
OTHERS = tuple(
    """time year day week month hour minute night morning evening summer winter spring autumn people family mother
    father sister brother son daughter wife husband baby name word letter page story song music game team ball school
    class lesson test paper pen desk chair table bed room wall floor roof window kitchen garden street town city
    village country world land sea beach island forest field farm park bridge tower church market shop bank station
    hotel office factory hospital prison court army war peace law rule right wrong truth lie idea plan dream hope fear
    love hate joy pain health food bread meat milk egg rice soup salt sugar tea coffee water wine fruit apple orange
    lemon cake glass cup plate bowl knife fork spoon bottle box bag basket coat hat shoe shirt dress ring gold silver
    iron wood paint wool cotton leather fire smoke ice snow rain wind storm sun moon star sky air earth sand grass
    flower leaf root seed branch head face eye ear nose mouth tooth hair neck arm hand finger leg foot knee heart blood
    bone skin body mind voice eat drink sleep walk run jump swim fly sit stand speak talk say tell ask answer read
    write count learn teach think guess forget remember begin end open close buy sell pay cost give get send show hide
    lose win fight play work rest travel arrive return enter wait hurry change grow die live cut cook bake burn blow
    fall rise shine one two three four five six seven eight nine ten first second third last next half whole part piece
    pair group line circle square corner side top bottom middle front north south east west left near far high low deep
    full empty soft hard smooth rough sharp wet dry sweet sour bitter cheap dear free busy easy clear plain true false
    real""".split()
)

WORDS = NOUNS + VERBS + ADJECTIVES + ADVERBS + OTHERS
