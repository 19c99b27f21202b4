"""Builds Sentinel-2 SAFE products: ESA's folders, names and XML, with pixels and angles that a test chooses.

Identity, place, times and orbit are those of a published product (T29UNU, Galway Bay, 5 October 2022); the tile is cut
down to its upper-left corner, its angle grid accordingly.
"""

import hashlib
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine

from imagery.products.sentinel2 import ALL_BANDS, RESOLUTION_M

SIDE_PX = 600
STEP_M = 1000.0
NODES = 7
ULX, ULY, EPSG = 499980.0, 5900040.0, 32629
DATATAKE = "20221005T115411"
GRANULE_TIME = "20221005T115407"


def plane(first, by_row, by_col):
    """(nodes, nodes) angles in degrees that rise evenly."""
    rows, cols = np.mgrid[0:NODES, 0:NODES]
    return first + by_row * rows + by_col * cols


@dataclass
class Safe:
    """What to build; the defaults are a sound Level-2A product of baseline 04.00.

    numbers holds digital numbers by band, each (side, side) at the band's own resolution; scl classes at 20 m. view
    holds (band id, detector, zenith, azimuth) and offsets a number for each band; None leaves the list out, as before
    baseline 04.00.
    """

    numbers: dict
    scl: np.ndarray | None = None
    level: str = "L2A"
    baseline: str = "04.00"
    quantification: str = "10000"
    offsets: dict | None = field(default_factory=lambda: dict.fromkeys(ALL_BANDS, -1000))
    sun: tuple | None = field(default_factory=lambda: (plane(58.38, -0.0448, -0.0062), plane(171.9, -0.0005, 0.086)))
    view: list = field(default_factory=lambda: [(7, 9, plane(5.5, 0.12, -0.08), plane(281.4, 0.16, 0.05))])
    sensing_time: str = "2022-10-05T11:56:49.581767Z"
    datatake_time: str = "2022-10-05T11:54:11.024Z"
    relative_orbit: int = 23
    direction: str = "DESCENDING"
    tile: str = "29UNU"
    epsg: int = EPSG
    ulx: float = ULX
    uly: float = ULY
    side_px: int = SIDE_PX
    footprint: str | None = None
    image_prefix: str = ""
    manifest: bool = True

    @property
    def name(self):
        processed = "20221005T164454"
        code = self.baseline.replace(".", "")
        return f"S2A_MSI{self.level}_{DATATAKE}_N{code}_R{self.relative_orbit:03d}_T{self.tile}_{processed}"

    @property
    def granule(self):
        return f"GRANULE/{self.level}_T{self.tile}_A038058_{GRANULE_TIME}"

    @property
    def product_xml(self):
        return f"MTD_MSI{self.level}.xml"

    def image(self, band):
        """Path of a band's file inside the product."""
        metres = 20 if band == "scl" else RESOLUTION_M[band]
        stem = f"{self.image_prefix}T{self.tile}_{DATATAKE}_{band.upper()}"
        if self.level == "L1C":
            return f"{self.granule}/IMG_DATA/{stem}.jp2"
        return f"{self.granule}/IMG_DATA/R{metres}m/{stem}_{metres}m.jp2"

    def write(self, folder: Path) -> Path:
        """Write the product into a folder and return its path."""
        root = folder / f"{self.name}.SAFE"
        (root / self.granule).mkdir(parents=True)
        (root / self.product_xml).write_text(self.product_text(), encoding="utf-8")
        (root / self.granule / "MTD_TL.xml").write_text(self.tile_text(), encoding="utf-8")
        images = dict(self.numbers) | ({"scl": self.scl} if self.scl is not None else {})
        for band, numbers in images.items():
            metres = 20 if band == "scl" else RESOLUTION_M[band]
            path = root / self.image(band)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_jp2(path, numbers, self.epsg, Affine(metres, 0, self.ulx, 0, -metres, self.uly))
        if self.manifest:
            write_manifest(root)
        return root

    def product_text(self):
        """MTD_MSIL1C.xml or MTD_MSIL2A.xml."""
        long = {"L1C": "Level-1C", "L2A": "Level-2A"}[self.level]
        if self.level == "L1C":
            tag = "RADIO_ADD_OFFSET"
            quantity = f'<QUANTIFICATION_VALUE unit="none">{self.quantification}</QUANTIFICATION_VALUE>'
            listed = "Radiometric_Offset_List"
        else:
            tag = "BOA_ADD_OFFSET"
            quantity = (
                "<QUANTIFICATION_VALUES_LIST>"
                f'<BOA_QUANTIFICATION_VALUE unit="none">{self.quantification}</BOA_QUANTIFICATION_VALUE>'
                '<AOT_QUANTIFICATION_VALUE unit="none">1000.0</AOT_QUANTIFICATION_VALUE></QUANTIFICATION_VALUES_LIST>'
            )
            listed = "BOA_ADD_OFFSET_VALUES_LIST"
        offsets = ""
        if self.offsets is not None:
            values = "".join(
                f'<{tag} band_id="{ALL_BANDS.index(band)}">{dn}</{tag}>' for band, dn in self.offsets.items()
            )
            offsets = f"<{listed}>{values}</{listed}>"
        outline = ""
        if self.footprint:
            outline = (
                "<n1:Geometric_Info><Product_Footprint><Product_Footprint><Global_Footprint>"
                f"<EXT_POS_LIST>{self.footprint} </EXT_POS_LIST>"
                "</Global_Footprint></Product_Footprint></Product_Footprint></n1:Geometric_Info>"
            )
        return f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:{long}_User_Product xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/User_Product_{long}.xsd">
  <n1:General_Info>
    <Product_Info>
      <PRODUCT_START_TIME>{self.datatake_time}</PRODUCT_START_TIME>
      <PRODUCT_URI>{self.name}.SAFE</PRODUCT_URI>
      <PROCESSING_LEVEL>{long}</PROCESSING_LEVEL>
      <PROCESSING_BASELINE>{self.baseline}</PROCESSING_BASELINE>
      <Datatake datatakeIdentifier="GS2A_{DATATAKE}_038058_N04.00">
        <SPACECRAFT_NAME>Sentinel-2A</SPACECRAFT_NAME>
        <DATATAKE_SENSING_START>{self.datatake_time}</DATATAKE_SENSING_START>
        <SENSING_ORBIT_NUMBER>{self.relative_orbit}</SENSING_ORBIT_NUMBER>
        <SENSING_ORBIT_DIRECTION>{self.direction}</SENSING_ORBIT_DIRECTION>
      </Datatake>
    </Product_Info>
    <Product_Image_Characteristics>{quantity}{offsets}</Product_Image_Characteristics>
  </n1:General_Info>
  {outline}
</n1:{long}_User_Product>
"""

    def tile_text(self):
        """MTD_TL.xml."""
        long = {"L1C": "Level-1C", "L2A": "Level-2A"}[self.level]
        made = f"TL_ATOS_20221005T153022_A038058_T{self.tile}_N{self.baseline}"
        level1 = f"<L1C_TILE_ID>S2A_OPER_MSI_L1C_{made}</L1C_TILE_ID>" if self.level == "L2A" else ""
        sides = {m: self.side_px * 10 // m for m in (10, 20, 60)}
        sizes = "".join(
            f'<Size resolution="{m}"><NROWS>{side}</NROWS><NCOLS>{side}</NCOLS></Size>' for m, side in sides.items()
        ) + "".join(
            f'<Geoposition resolution="{m}"><ULX>{self.ulx:.0f}</ULX><ULY>{self.uly:.0f}</ULY>'
            f"<XDIM>{m}</XDIM><YDIM>-{m}</YDIM></Geoposition>"
            for m in sides
        )
        sun = f"<Sun_Angles_Grid>{angles_text(*self.sun)}</Sun_Angles_Grid>" if self.sun else ""
        view = "".join(
            f'<Viewing_Incidence_Angles_Grids bandId="{band}" detectorId="{detector}">{angles_text(zenith, azimuth)}'
            "</Viewing_Incidence_Angles_Grids>"
            for band, detector, zenith, azimuth in self.view
        )
        return f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:{long}_Tile_ID xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/S2_PDI_{long}_Tile_Metadata.xsd">
  <n1:General_Info>
    {level1}
    <TILE_ID metadataLevel="Brief">S2A_OPER_MSI_{self.level}_{made}</TILE_ID>
    <SENSING_TIME metadataLevel="Standard">{self.sensing_time}</SENSING_TIME>
  </n1:General_Info>
  <n1:Geometric_Info>
    <Tile_Geocoding metadataLevel="Brief">
      <HORIZONTAL_CS_CODE>EPSG:{self.epsg}</HORIZONTAL_CS_CODE>
      {sizes}
    </Tile_Geocoding>
    <Tile_Angles metadataLevel="Standard">
      {sun}
      {view}
    </Tile_Angles>
  </n1:Geometric_Info>
</n1:{long}_Tile_ID>
"""


def angles_text(zenith, azimuth):
    """The Zenith and Azimuth elements of an angle grid."""

    def element(tag, values):
        rows = "".join(f"<VALUES>{' '.join(f'{value:.7g}' for value in row)}</VALUES>" for row in values)
        rows = rows.replace("nan", "NaN")
        return (
            f'<{tag}><COL_STEP unit="m">{STEP_M:.0f}</COL_STEP><ROW_STEP unit="m">{STEP_M:.0f}</ROW_STEP>'
            f"<Values_List>{rows}</Values_List></{tag}>"
        )

    return element("Zenith", zenith) + element("Azimuth", azimuth)


def write_jp2(path: Path, numbers, epsg, transform):
    """Write a lossless JPEG 2000 file."""
    numbers = np.asarray(numbers)
    with rasterio.open(
        path,
        "w",
        driver="JP2OpenJPEG",
        count=1,
        height=numbers.shape[0],
        width=numbers.shape[1],
        dtype=numbers.dtype,
        crs=f"EPSG:{epsg}",
        transform=transform,
        QUALITY="100",
        REVERSIBLE="YES",
        YCBCR420="NO",
        BLOCKXSIZE=256,
        BLOCKYSIZE=256,
    ) as dataset:
        dataset.write(numbers, 1)


def write_manifest(root: Path):
    """Write manifest.safe with the size and SHA3-256 of every other file."""
    objects = ""
    for path in sorted(p for p in root.rglob("*") if p.is_file() and p.name != "manifest.safe"):
        content = path.read_bytes()
        objects += (
            f'<dataObject><byteStream mimeType="application/octet-stream" size="{len(content)}">'
            f'<fileLocation href="./{path.relative_to(root).as_posix()}" locatorType="URL"/>'
            f'<checksum checksumName="SHA3-256">{hashlib.sha3_256(content).hexdigest().upper()}</checksum>'
            "</byteStream></dataObject>"
        )
    text = (
        '<?xml version="1.0" encoding="UTF-8"?><xfdu:XFDU xmlns:xfdu="urn:ccsds:schema:xfdu:1">'
        f"<dataObjectSection>{objects}</dataObjectSection></xfdu:XFDU>"
    )
    (root / "manifest.safe").write_text(text, encoding="utf-8")


def zipped(root: Path, path: Path, *, compression=zipfile.ZIP_DEFLATED) -> Path:
    """Zip a product as the Copernicus Data Space does: its folder at the top."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for file in sorted(p for p in root.rglob("*") if p.is_file()):
            archive.write(file, f"{root.name}/{file.relative_to(root).as_posix()}")
    return path
